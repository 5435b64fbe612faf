// The report's page: fills it from the JSON that is in it. The same plots as the dashboard's.
'use strict';

(() => {
  const report = JSON.parse(document.getElementById('report').textContent);
  const at = (id) => document.getElementById(id);
  const activities = [['compute', 'computing', '#00875f'], ['exchange', 'exchanging', '#0072b2'], ['wait', 'waiting for work', '#d9a300'], ['away', 'away', '#8a94a0']];
  const summary = report.summary || {};

  function tile(value, unit, note) {
    return element('div', {class: 'tile'}, element('b', {text: value}), element('span', {text: unit}), element('i', {text: note || ''}));
  }

  function table(target, heads, rows) {
    const numeric = (i) => heads[i].startsWith('#') ? 'number' : '';
    target.append(
      element('thead', {}, element('tr', {}, ...heads.map((head, i) => element('th', {text: head.replace('#', ''), class: numeric(i), attributes: {scope: 'col'}})))),
      element('tbody', {}, ...rows.map((cells) => element('tr', {}, ...cells.map((cell, i) => cell instanceof Node
        ? element('td', {class: numeric(i)}, cell) : element('td', {text: cell, class: numeric(i)}))))));
  }

  function bar(time) {
    if (!time) return element('span', {text: '–'});
    const made = element('span', {class: 'timebar', attributes: {role: 'img', 'aria-label': activities.map(([key, name]) => `${name} ${Format.percent(time[key], 0)}`).join(', ')}});
    for (const [key, name, color] of activities) {
      const part = element('span', {attributes: {title: `${name} ${Format.percent(time[key])}`}});
      part.style.flexGrow = String(time[key]);
      part.style.backgroundColor = color;
      made.append(part);
    }
    return made;
  }

  function showFigures() {
    // Where it was on the disk matters to nobody whom the file is sent to.
    const name = report.folder.split('/').filter((part) => part).pop() || report.folder;
    at('folder').textContent = name;
    at('folder').title = report.folder;
    document.title = 'EDDL run: ' + name;
    at('status').textContent = report.run.status || 'unknown';
    const ratio = summary.measured_against_predicted;
    const known = (value) => value === null || value === undefined ? NaN : value;
    at('tiles').append(
      tile(Format.percent(known(summary.test_accuracy), 2), 'test accuracy', Number.isFinite(known(summary.best_test_accuracy)) ? `best ${Format.percent(summary.best_test_accuracy, 2)}` : ''),
      tile(Format.count(known(summary.samples_per_second)), 'samples/s', Number.isFinite(known(ratio)) ? `${Format.percent(ratio, 0)} of what was predicted` : ''),
      tile(Format.duration(known(summary.seconds)), 'training', `${summary.epochs} epochs`),
      tile(Format.count(known(summary.samples)), 'samples', 'each once an epoch'),
      tile(String(report.devices.length || 1), 'devices', 'that took part'));
    at('notes').append(...report.notes.map((note) => element('li', {text: note})));
  }

  // A run of one device has steps and epochs, but no history: the same form is made of them.
  function historyOf() {
    if (report.history) return report.history;
    const epochs = report.epochs;
    const seconds = epochs.length ? epochs[epochs.length - 1].seconds : 0;
    const frames = 240;
    const frame = seconds / frames || 1;
    const series = (list, name) => {
      const values = new Array(frames + 1).fill(null);
      for (const one of list) if (Number.isFinite(one[name])) values[Math.min(frames, Math.round(one.seconds / frame))] = one[name];
      return values;
    };
    const steps = report.steps.length ? series(report.steps, 'loss') : series(epochs, 'train_loss');
    return {frame_seconds: frame, seconds, events: [], devices: [], run: {loss: steps, accuracy: series(epochs, 'train_accuracy'), test_accuracy: series(epochs, 'test_accuracy')}};
  }

  function showPlots() {
    const history = historyOf();
    Charts.fillLearning(Charts.learning(at('learning')), history);
    at('throughput-part').hidden = history.devices.length === 0;
    if (history.devices.length === 0) return;
    // Those beyond a dozen are summed up.
    const shown = {...history, devices: history.devices.slice(0, 12)};
    const rest = history.devices.slice(12);
    const others = (history.others.samples_per_second || []).slice();
    for (const device of rest) (device.series.samples_per_second || []).forEach((value, i) => { others[i] = (others[i] || 0) + (value || 0); });
    shown.others = {count: history.others.count + rest.length, samples_per_second: others};
    Charts.fillThroughput(Charts.throughput(at('throughput')), shown);
  }

  function showDevices() {
    at('devices-part').hidden = report.devices.length === 0;
    at('time-note').append('Ten looks a second at what each device did: ', ...activities.flatMap(([, name, color]) => {
      const swatch = element('span', {class: 'swatch'});
      swatch.style.backgroundColor = color;
      return [swatch, name + '  '];
    }));
    table(at('contributions'), ['Device', 'Its time', '#Computing', '#Exchanging', '#Waiting', '#Away', '#Samples', '#Share', '#Leases', '#Samples/s', '#Could make'],
      report.devices.map((device) => [device.name || 'node ' + device.node, bar(device.time),
        ...activities.map(([key]) => device.time ? Format.percent(device.time[key], 0) : '–'),
        Format.count(device.samples), Format.percent(device.share === null ? NaN : device.share), Format.count(device.leases),
        Format.count(device.samples_per_second === null ? NaN : device.samples_per_second), Format.count(device.predicted_samples_per_second || NaN)]));
  }

  function list(target, events) {
    target.append(...events.map((event) => element('li', {}, element('time', {text: Format.duration(event.seconds)}),
      element('span', {class: 'kind', text: event.kind}), element('span', {class: 'text', text: event.text}))));
  }

  function showEvents() {
    const events = report.history ? report.history.events : [];
    at('plans-part').hidden = at('events-part').hidden = events.length === 0;
    list(at('plans'), report.plans);
    list(at('events'), events.filter((event) => event.kind !== 'plan' && event.kind !== 'checkpoint' && event.kind !== 'view'));
  }

  function showConfusion() {
    const evaluation = report.evaluation;
    at('confusion-part').hidden = !evaluation;
    if (!evaluation) return;
    at('confusion-note').textContent = `${Format.count(evaluation.samples)} test samples, accuracy ${Format.percent(evaluation.accuracy, 2)}, loss ${Format.fixed(evaluation.loss, 4)}. Rows are the labels, columns the answers.`;
    const names = evaluation.classes.map((one) => one.name);
    if (names.length > 24) {
      at('confusion-note').textContent += ' Too many classes for a matrix: the worst are shown.';
      const worst = evaluation.classes.map((one, i) => ({...one, i})).filter((one) => one.accuracy !== null).sort((a, b) => a.accuracy - b.accuracy).slice(0, 24);
      table(at('confusion'), ['Class', '#Samples', '#Accuracy'], worst.map((one) => [one.name, Format.count(one.samples), Format.percent(one.accuracy)]));
      return;
    }
    table(at('confusion'), ['Label', ...names.map((name) => '#' + name), '#Samples', '#Accuracy'], evaluation.confusion.map((row, label) => {
      const cells = row.map((count, answer) => {
        const cell = element('span', {class: 'heat', text: count ? Format.count(count) : '·'});
        const part = count / Math.max(evaluation.classes[label].samples, 1);
        cell.style.backgroundColor = label === answer ? `rgb(0 135 95 / ${0.12 + 0.4 * part})` : `rgb(198 40 40 / ${Math.min(0.75, 3 * part)})`;
        return cell;
      });
      const accuracy = evaluation.classes[label].accuracy;
      return [names[label], ...cells, Format.count(evaluation.classes[label].samples), Format.percent(accuracy === null ? NaN : accuracy)];
    }));
  }

  function showEpochs() {
    at('epochs-part').hidden = report.epochs.length === 0;
    const number = (value, show) => value === null || value === undefined ? '–' : show(value);
    table(at('epochs'), ['#Epoch', '#Train loss', '#Train accuracy', '#Test loss', '#Test accuracy', '#Seconds'], report.epochs.map((one) => [
      String(one.epoch), number(one.train_loss, (v) => v.toFixed(4)), number(one.train_accuracy, (v) => Format.percent(v, 2)),
      number(one.test_loss, (v) => v.toFixed(4)), number(one.test_accuracy, (v) => Format.percent(v, 2)), number(one.seconds, (v) => v.toFixed(1))]));
  }

  showFigures();
  showPlots();
  showDevices();
  showEvents();
  showConfusion();
  showEpochs();
  at('job').textContent = report.job;
})();

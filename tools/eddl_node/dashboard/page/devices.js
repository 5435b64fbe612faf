// The table of devices: a row each, kept from one state to the next so that focus and screen readers stay where they are.
'use strict';

const Devices = (() => {
  const rowsShown = 100;
  const labels = ['Device', 'State', 'Samples/s', 'Share', 'Against prediction', 'Link, Mbit/s', 'Behind', 'CPU', 'Heard'];
  const turns = 10;
  const rows = new Map();
  const byRow = new WeakMap();
  let turn = 0;
  let total_ = 0;

  // Rows that nobody sees are filled when they come near the window, when their state changes, and else in turns.
  const watch = new IntersectionObserver((changes) => {
    for (const change of changes) {
      const entry = byRow.get(change.target);
      entry.near = change.isIntersecting;
      if (entry.near) fill(entry, entry.member, total_);
    }
  }, {rootMargin: '300px'});

  function classOf(state) {
    if (state === 'working') return 'good';
    if (/gone|lost|quarantined/.test(state)) return 'bad';
    return 'warn';
  }

  function make(member, onWhy, onPause, onDrain) {
    const row = element('tr');
    const cells = labels.map((label, i) => element(i === 0 ? 'th' : 'td', {attributes: i === 0 ? {scope: 'row'} : {'data-label': label}}));
    for (const i of [2, 3, 5, 6, 7, 8]) cells[i].classList.add('number');
    const swatch = element('span', {class: 'swatch', attributes: {'aria-hidden': 'true'}});
    swatch.style.backgroundColor = colorOf(member.node);
    const name = element('span');
    const sub = element('div', {class: 'sub'});
    cells[0].append(swatch, name, sub);
    const meter = element('meter', {attributes: {min: 0, max: 1.2, low: 0.3, high: 0.6, optimum: 1}});
    const ratio = element('span', {class: 'sub'});
    cells[4].append(meter, ' ', ratio);
    const button = (text, action) => {
      const made = element('button', {text, attributes: {type: 'button', 'aria-label': `${text} ${member.name}`}});
      made.addEventListener('click', () => action(entry.member));
      return made;
    };
    const pause = button('Pause', onPause);
    const drain = button('Drain', onDrain);
    const buttons = element('td', {class: 'buttons'}, button('Why?', onWhy), ' ', pause, ' ', drain);
    row.append(...cells, buttons);
    const entry = {row, cells, name, sub, meter, ratio, pause, drain, member, near: true, shown: ''};
    byRow.set(row, entry);
    watch.observe(row);
    return entry;
  }

  function fill(entry, member, total) {
    entry.shown = member.state;
    const {cells} = entry;
    setText(entry.name, member.name);
    const roles = [];
    if (member.leader_share > 0) roles.push('leads ' + Format.percent(member.leader_share, 0));
    if (member.backs_up) roles.push('backup');
    setText(entry.sub, `node ${member.node}` + (roles.length ? ' · ' + roles.join(', ') : ''));
    setText(cells[1], member.state);
    setClass(cells[1], 'state ' + classOf(member.state));
    setText(cells[2], Format.count(member.samples_per_second));
    setText(cells[3], total > 0 ? Format.percent(member.samples_per_second / total, 0) : '–');
    const predicted = member.predicted_samples_per_second;
    const ratio = predicted > 0 && member.state === 'working' ? member.samples_per_second / predicted : NaN;
    entry.meter.hidden = !Number.isFinite(ratio);
    const filled = Math.round(100 * Math.min(ratio, 1.2)) / 100;
    if (Number.isFinite(ratio) && entry.meter.value !== filled) entry.meter.value = filled;
    setText(entry.ratio, Number.isFinite(ratio) ? `${Format.percent(ratio, 0)} of ${Format.count(predicted)}` : '–');
    const sent = member.sent_bytes_per_second;
    setText(cells[5], Number.isFinite(sent) ? `${Format.megabits(sent)} ↑ ${Format.megabits(member.received_bytes_per_second)} ↓` : '–');
    setText(cells[6], Number.isFinite(member.staleness) ? Format.fixed(member.staleness, 1) : '–');
    setText(cells[7], Number.isFinite(member.cpu_cores)
      ? Format.percent(member.cpu_cores, 0) + (Number.isFinite(member.celsius) ? `, ${Math.round(member.celsius)} °C` : '') : '–');
    setText(cells[8], Number.isFinite(member.last_heard_seconds) ? Format.fixed(member.last_heard_seconds, 1) + ' s' : '–');
    const here = !/gone|lost|quarantined/.test(member.state);
    entry.drain.disabled = !here || member.state === 'leaving';
    entry.pause.disabled = !here;
    const pauses = member.state !== 'paused by the operator';
    setText(entry.pause, pauses ? 'Pause' : 'Go on');
    entry.pause.setAttribute('aria-label', `${pauses ? 'Pause' : 'Let go on'} ${member.name}`);
  }

  // Those at work first; a thousand rows would be laid out every second, and nobody reads them.
  function show(body, note, members, total, find, actions) {
    const wanted = find.trim().toLowerCase();
    const found = members.filter((member) => !wanted || `${member.name} ${member.state} node ${member.node}`.toLowerCase().includes(wanted));
    const rank = (member) => ({good: 0, warn: 1, bad: 2})[classOf(member.state)];
    if (found.length > rowsShown) found.sort((a, b) => rank(a) - rank(b) || a.node - b.node);
    const shown = found.slice(0, rowsShown);
    total_ = total;
    turn = (turn + 1) % turns;
    const keep = new Set(shown.map((member) => member.node));
    for (const [node, entry] of rows) {
      if (keep.has(node)) continue;
      watch.unobserve(entry.row);
      entry.row.remove();
      rows.delete(node);
    }
    shown.forEach((member, i) => {
      if (!rows.has(member.node)) rows.set(member.node, make(member, actions.why, actions.pause, actions.drain));
      const entry = rows.get(member.node);
      entry.member = member;
      if (entry.near || entry.shown !== member.state || i % turns === turn) fill(entry, member, total);
      if (body.children[i] !== entry.row) body.insertBefore(entry.row, body.children[i] || null);
    });
    setText(note, found.length > shown.length ? `${shown.length} of ${found.length} shown: use Find for others` : members.length ? '' : 'no device has joined yet');
  }

  return {show, classOf};
})();

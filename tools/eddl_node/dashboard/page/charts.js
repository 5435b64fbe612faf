// Plots of a run over time, with Chart.js; used by the page and by the report. A history is what RunHistory writes.
'use strict';

const Charts = (() => {
  const kinds = {joined: '#00875f', left: '#606c7a', fenced: '#c62828', plan: '#7a4fbf', leader: '#b8589a', mode: '#d55e00'};
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Vertical lines where something happened, on the same axis; the nearest to the pointer is told in the tooltip.
  const eventLines = {
    id: 'eventLines',
    beforeDatasetsDraw(chart, _, options) {
      const {ctx, chartArea: area, scales: {x}} = chart;
      ctx.save();
      for (const event of options.events || []) {
        const at = x.getPixelForValue(event.seconds);
        if (!(event.kind in kinds) || at < area.left || at > area.right) continue;
        ctx.strokeStyle = kinds[event.kind];
        ctx.globalAlpha = 0.75;
        ctx.setLineDash([4, 3]);
        ctx.beginPath();
        ctx.moveTo(at, area.top);
        ctx.lineTo(at, area.bottom);
        ctx.stroke();
      }
      ctx.restore();
    },
  };

  function eventsNear(chart, seconds) {
    const {min, max} = chart.scales.x;
    const reach = (max - min) / 120;
    return (chart.options.plugins.eventLines.events || [])
      .filter((event) => event.kind in kinds && Math.abs(event.seconds - seconds) <= reach).slice(-4);
  }

  // Filled squares, also for lines and dashes.
  function legendLabels(chart) {
    return Chart.defaults.plugins.legend.labels.generateLabels(chart)
      .map((label) => ({...label, fillStyle: label.strokeStyle, lineDash: [], lineWidth: 0}));
  }

  function options(extra) {
    const ink = css('--soft');
    const line = css('--line');
    const axis = (title, more) => ({
      title: {display: Boolean(title), text: title, color: ink}, ticks: {color: ink, maxRotation: 0}, grid: {color: line}, ...more});
    return {
      animation: false, maintainAspectRatio: false, normalized: true, parsing: false,
      interaction: {mode: 'index', intersect: false},
      elements: {point: {radius: 0, hitRadius: 6}, line: {borderWidth: 1.6}},
      plugins: {
        legend: {position: 'bottom', labels: {color: ink, boxWidth: 12, boxHeight: 12, generateLabels: legendLabels}},
        eventLines: {events: []},
        tooltip: {callbacks: {
          title: (items) => items.length ? Format.duration(items[0].parsed.x) : '',
          afterBody: (items) => items.length ? eventsNear(items[0].chart, items[0].parsed.x).map((event) => event.text.slice(0, 90)) : [],
        }},
      },
      scales: {
        x: axis('', {type: 'linear', ticks: {color: ink, maxRotation: 0, callback: (value) => Format.duration(value)}}),
        ...extra.scales(axis),
      },
    };
  }

  const points = (history, values) => (values || []).map((y, i) => ({x: i * history.frame_seconds, y: y === undefined ? null : y}));
  // Means of as many values each as make areaPoints points: a dozen areas of more take longer to draw than they are wide.
  const areaPoints = 240;
  function means(values, stride) {
    if (stride === 1) return values;
    const made = [];
    for (let begin = 0; begin < values.length; begin += stride) {
      const known = values.slice(begin, begin + stride).filter((value) => Number.isFinite(value));
      made.push(known.length ? known.reduce((a, b) => a + b, 0) / known.length : null);
    }
    return made;
  }

  const smooth = (label, color, more) => ({label, borderColor: color, backgroundColor: color, spanGaps: true, ...more});

  function learning(canvas) {
    return new Chart(canvas, {
      type: 'line', plugins: [eventLines],
      data: {datasets: [smooth('loss', '#d55e00', {yAxisID: 'y'}), smooth('accuracy', '#0072b2', {yAxisID: 'right'}),
        smooth('test accuracy', '#009e73', {yAxisID: 'right', borderDash: [5, 3]})]},
      options: options({scales: (axis) => ({
        y: axis('loss', {beginAtZero: true}),
        right: axis('accuracy', {position: 'right', min: 0, max: 1, grid: {drawOnChartArea: false},
          ticks: {color: css('--soft'), callback: (value) => Math.round(100 * value) + ' %'}}),
      })}),
    });
  }

  function fillLearning(chart, history) {
    const [loss, accuracy, test] = chart.data.datasets;
    loss.data = points(history, history.run.loss);
    accuracy.data = points(history, history.run.accuracy);
    test.data = points(history, history.run.test_accuracy);
    finish(chart, history);
  }

  function throughput(canvas) {
    return new Chart(canvas, {
      type: 'line', plugins: [eventLines], data: {datasets: []},
      options: options({scales: (axis) => ({y: axis('samples/s', {beginAtZero: true, stacked: true})})}),
    });
  }

  // Stacked areas of devices, and the prediction of the plan in force as a line over them.
  function fillThroughput(chart, history) {
    const stride = Math.ceil(history.frames / areaPoints) || 1;
    const coarse = {frame_seconds: stride * history.frame_seconds};
    const sets = new Map(chart.data.datasets.map((set) => [set.key, set]));
    const take = (key, label, color, values, more) => Object.assign(
      sets.get(key) || smooth(label, color, {key}), more, {data: points(coarse, means(values || [], stride))});
    const area = {stack: 'devices', borderWidth: 1, spanGaps: false};
    const filling = (i) => ({...area, fill: i === 0 ? 'origin' : '-1'});
    const datasets = history.devices.map((device, i) => take(device.node, device.name, colorOf(device.node),
      (device.series.samples_per_second || []).map((value) => value === null ? 0 : value),
      {...filling(i), backgroundColor: colorOf(device.node) + 'b0'}));
    if (history.others.count > 0) {
      datasets.push(take('others', history.others.count + ' others', '#8a94a0', history.others.samples_per_second,
        {...filling(datasets.length), backgroundColor: '#8a94a0b0'}));
    }
    datasets.push(take('predicted', 'predicted', css('--ink'), history.run.predicted_samples_per_second,
      {fill: false, stack: 'predicted', borderDash: [3, 3], borderWidth: 1.3}));
    chart.data.datasets = datasets;
    finish(chart, history);
  }

  function single(canvas, label, axisTitle) {
    return new Chart(canvas, {
      type: 'line', plugins: [eventLines], data: {datasets: [smooth(label, '#0072b2', {fill: true, backgroundColor: '#0072b240'})]},
      options: options({scales: (axis) => ({y: axis(axisTitle, {beginAtZero: true})})}),
    });
  }

  function fillSingle(chart, history, values) {
    chart.data.datasets[0].data = points(history, values);
    finish(chart, history);
  }

  function finish(chart, history) {
    chart.options.scales.x.min = 0;
    chart.options.scales.x.max = Math.max(history.seconds, history.frame_seconds);
    chart.options.plugins.eventLines.events = history.events;
    chart.update('none');
  }

  return {learning, fillLearning, throughput, fillThroughput, single, fillSingle, kinds};
})();

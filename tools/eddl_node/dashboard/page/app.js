// The page: asks for the history once, then takes the state from the event stream and adds to it.
'use strict';

const at = (id) => document.getElementById(id);
const silentAfter = 4000;  // milliseconds without news, then the page says so
const planPeriod = 10000;

let state = null;
let history_ = null;
let charts = null;
let heardAt = 0;
let planAskedAt = 0;
let planShown = '';
let chartsDrawnAt = 0;
let chartsDrawn = 0;  // frames of the history that they show
let chartsQueued = [];
let longestFrame = 0;  // of this state, milliseconds
let frameMilliseconds = 0;  // the longest frame of the state before

async function ask(path) {
  const answer = await fetch(path);
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.error || answer.statusText);
  return json;
}

async function loadHistory() {
  history_ = await ask('api/history');
  drawCharts();
  showEvents();
}

function makeCharts() {
  for (const chart of Object.values(charts || {})) chart.destroy();
  charts = {learning: Charts.learning(at('learning')), throughput: Charts.throughput(at('throughput'))};
  drawCharts();
}

const fillChart = {
  learning: () => Charts.fillLearning(charts.learning, history_),
  throughput: () => Charts.fillThroughput(charts.throughput, history_),
};

function noteCharts() {
  chartsDrawn = history_.frames;
  chartsDrawnAt = performance.now();
}

function drawCharts() {
  if (!history_ || !charts || document.hidden) return;
  for (const fill of Object.values(fillChart)) fill();
  noteCharts();
}

// Charts are the dearest part of a state: one a frame, and only when there is something to see, which is a new frame of the
// history, or a quarter of one.
function queueCharts() {
  if (!history_ || !charts || document.hidden || chartsQueued.length > 0) return;
  const age = performance.now() - chartsDrawnAt;
  if (history_.frames === chartsDrawn && age < 250 * history_.frame_seconds) return;
  noteCharts();
  chartsQueued = Object.keys(fillChart);
  requestAnimationFrame(drawQueued);
}

function drawQueued() {
  timed(fillChart[chartsQueued.shift()]);
  if (chartsQueued.length > 0) requestAnimationFrame(drawQueued);
}

function timed(work) {
  const begin = performance.now();
  work();
  longestFrame = Math.max(longestFrame, performance.now() - begin);
}

// The values of the newest frame; another axis means that frames were merged, and all is asked for again.
function extendHistory(latest, members) {
  if (!history_) return;
  if (latest.frame_seconds !== history_.frame_seconds || latest.frames < history_.frames) {
    loadHistory().catch(showTrouble);
    return;
  }
  const frame = latest.frames - 1;
  // Between two states a frame or two may have passed: they had about the same values.
  const put = (values, value) => {
    const known = value === undefined ? null : value;
    while (values.length < frame) values.push(frame - values.length <= 3 ? known : null);
    values[frame] = known;
  };
  for (const [name, values] of Object.entries(history_.run)) put(values, latest.run[name]);
  const rates = new Map(members.map((member) => [member.node, member.samples_per_second]));
  let rest = 0;
  for (const device of history_.devices) {
    put(device.series.samples_per_second, rates.get(device.node));
    rates.delete(device.node);
  }
  for (const value of rates.values()) rest += value;
  put(history_.others.samples_per_second, rest);
  history_.frames = latest.frames;
  history_.seconds = latest.seconds;
  const last = history_.events.length ? history_.events[history_.events.length - 1].sequence : 0;
  const fresh = latest.events.filter((event) => event.sequence > last);
  history_.events.push(...fresh);
  if (history_.events.length > 500) history_.events.splice(0, history_.events.length - 500);
  // A device that is new gets an area of its own.
  if (rates.size > 0 && history_.devices.length < 12 && rates.size !== history_.others.count) loadHistory().catch(showTrouble);
  if (fresh.length > 0) showEvents();
}

function showEvents() {
  const list = at('events');
  const all = at('all-events').checked;
  const newest = history_.events.filter((event) => all || event.kind in Charts.kinds || event.kind === 'state').slice(-150).reverse();
  list.replaceChildren(...newest.map((event) => {
    const kind = element('span', {class: 'kind', text: event.kind});
    kind.style.color = Charts.kinds[event.kind] && matchMedia('(prefers-color-scheme: light)').matches ? Charts.kinds[event.kind] : '';
    return element('li', {}, element('time', {text: Format.duration(event.seconds)}), kind, element('span', {class: 'text', text: event.text}));
  }));
}

function showTiles() {
  document.title = `${state.job}: ${Format.count(state.samples_per_second)} samples/s`;
  setText(at('job'), state.job);
  setText(at('model'), state.model);
  setText(at('phase'), state.paused ? 'paused' : state.phase);
  at('phase').className = 'badge' + (state.phase === 'running' && !state.paused ? ' good' : '');
  setText(at('rate'), Format.count(state.samples_per_second));
  const predicted = state.predicted_samples_per_second;
  setText(at('rate-note'), Number.isFinite(predicted) ? `predicted ${Format.count(predicted)}` : '');
  // Until the first round of an epoch, those of the epoch before stay.
  if (Number.isFinite(state.loss)) setText(at('loss'), Format.fixed(state.loss, 4));
  if (Number.isFinite(state.accuracy)) setText(at('accuracy'), Format.percent(state.accuracy));
  setText(at('test-note'), Number.isFinite(state.test_accuracy) ? `test ${Format.percent(state.test_accuracy)}` : 'of this epoch');
  setText(at('left'), Format.duration(state.eta_seconds));
  setText(at('epoch-note'), `epoch ${state.epoch} of ${state.epochs}, round ${Format.count(state.round)}`);
  const working = state.members.filter((member) => member.state === 'working').length;
  setText(at('working'), String(working));
  setText(at('working-note'), `of ${state.members.length} that ever joined`);
  const done = state.samples_total > 0 ? 100 * state.samples / state.samples_total : 0;
  at('progress').setAttribute('aria-valuenow', done.toFixed(0));
  at('progress').firstElementChild.style.width = done.toFixed(2) + '%';
  setText(at('pause'), state.paused ? 'Go on' : 'Pause all');
  at('pause').disabled = at('stop').disabled = state.phase === 'over';
}

function showLeaders() {
  const leaders = state.members.filter((member) => member.leader_share > 0);
  const list = at('leaders');
  while (list.children.length > leaders.length) list.lastElementChild.remove();
  leaders.forEach((member, i) => {
    if (!list.children[i]) list.append(element('li'));
    const item = list.children[i];
    setText(item, `${member.name} ${Format.percent(member.leader_share, 0)}`);
    item.title = item.textContent;
    item.style.flexGrow = String(member.leader_share);
    item.style.backgroundColor = colorOf(member.node);
  });
}

function ledBy(candidate) {
  const names = new Map(state.members.map((member) => [member.node, member.name]));
  const leaders = candidate.leader_nodes || [];
  if (leaders.length === 0 || leaders.length > 3) return '';
  return ', led by ' + leaders.map((node) => names.get(node) || 'node ' + node).join(', ');
}

async function showPlan() {
  setText(at('plan'), state.plan);
  const key = state.plan + state.why_plan;
  if (key === planShown && Date.now() - planAskedAt < planPeriod) return;
  planShown = key;
  planAskedAt = Date.now();
  const why = await ask('api/why?node=0');
  setText(at('plan-why'), why.decision || '');
  at('candidates').tBodies[0].replaceChildren(...why.candidates.slice(0, 12).map((candidate) => {
    const row = element('tr', {class: candidate.in_force ? 'chosen' : ''},
      element('td', {text: candidate.plan + ledBy(candidate) + (candidate.in_force ? ' (in force)' : '')}),
      element('td', {class: 'number', text: Format.count(candidate.samples_per_second)}),
      element('td', {class: 'number optional', text: Format.fixed(candidate.efficiency, 2)}),
      element('td', {text: candidate.bound}));
    return row;
  }));
}

function take(news) {
  frameMilliseconds = longestFrame;
  longestFrame = 0;
  timed(() => show(news));
  queueCharts();
}

function show(news) {
  state = news;
  heardAt = Date.now();
  showTiles();
  showLeaders();
  Devices.show(at('rows'), at('devices-note'), state.members, state.samples_per_second, at('find').value, actions);
  extendHistory(state.latest, state.members);
  showPlan().catch(showTrouble);
  showLive();
}

function showLive() {
  const silent = Date.now() - heardAt > silentAfter;
  const over = state && state.phase === 'over';
  setText(at('live'), over ? 'over' : silent ? 'no answer' : 'live');
  at('live').className = 'badge ' + (silent && !over ? 'bad' : 'good');
}

function showTrouble(error) {
  setText(at('live'), String(error.message || error).slice(0, 80));
  at('live').className = 'badge bad';
}

// Why a device is what it is.

async function showWhy(member) {
  const [why, device] = await Promise.all([ask(`api/why?node=${member.node}`), ask(`api/device?node=${member.node}`)]);
  setText(at('why-title'), `${member.name} (node ${member.node}): ${why.member.state}`);
  const facts = element('dl');
  const add = (name, value) => facts.append(element('dt', {text: name}), element('dd', {text: value}));
  const about = why.member;
  if (about.sample_seconds > 0) {
    add('a lease of b samples takes', `${Format.fixed(1e3 * about.lease_seconds, 2)} ms + b × ${Format.fixed(1e3 * about.sample_seconds, 3)} ms: ${Format.count(1 / about.sample_seconds)} samples/s at most`);
  }
  add('measured', `${Format.count(about.samples_per_second)} samples/s, ${Format.count(about.samples)} samples so far`);
  add('its link carries', `${Format.megabits(about.up_bytes_per_second)} Mbit/s up, ${Format.megabits(about.down_bytes_per_second)} down, ${Format.fixed(1e3 * about.round_trip_seconds, 1)} ms to the manager and back`);
  add('device', about.device || '–');
  if (about.leader_share > 0) add('leads', `${Format.percent(about.leader_share)} of the parameters`);
  if (!about.reachable) add('leading', 'others can’t open connections to it, so it never leads');
  if (about.strikes > 0) add('strikes', String(about.strikes));
  const looks = device.totals.looks;
  const all = looks.reduce((a, b) => a + b, 0);
  if (all > 0) add('its time', ['computing', 'exchanging', 'waiting for work', 'away'].map((name, i) => `${name} ${Format.percent(looks[i] / all, 0)}`).join(', '));
  add('the plan', why.decision || '–');
  const events = element('ol', {class: 'events'});
  for (const event of why.events.slice(-40).reverse()) {
    events.append(element('li', {}, element('time', {text: Format.duration(event.seconds)}), element('span', {class: 'kind', text: event.topic}), element('span', {class: 'text', text: event.text})));
  }
  const canvas = element('canvas', {attributes: {role: 'img', 'aria-label': `Samples per second of ${member.name} over time`}});
  at('why-body').replaceChildren(facts, element('div', {class: 'chart'}, canvas), events);
  at('why').showModal();
  const chart = Charts.single(canvas, 'samples/s', '');
  Charts.fillSingle(chart, {...history_, events: history_.events.filter((event) => event.node === member.node)}, device.series.samples_per_second);
  at('why').addEventListener('close', () => chart.destroy(), {once: true});
}

// Acting: asks first, and needs the token, which this tab remembers.

let pending = null;

function confirmAction(title, text, path, body) {
  pending = {path, body};
  setText(at('confirm-title'), title);
  setText(at('confirm-text'), text);
  setText(at('confirm-error'), '');
  at('token').value = sessionStorage.getItem('eddl-token') || '';
  at('confirm').showModal();
}

async function act(event) {
  event.preventDefault();
  const token = at('token').value.trim();
  at('confirm-yes').disabled = true;
  try {
    const answer = await fetch(pending.path, {method: 'POST', body: JSON.stringify(pending.body), headers: {'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json'}});
    const json = await answer.json();
    if (!answer.ok) throw new Error(json.error || answer.statusText);
    sessionStorage.setItem('eddl-token', token);
    at('confirm').close();
  } catch (error) {
    setText(at('confirm-error'), String(error.message));
  } finally {
    at('confirm-yes').disabled = false;
  }
}

const actions = {
  why: (member) => showWhy(member).catch(showTrouble),
  pause(member) {
    const pauses = member.state !== 'paused by the operator';
    confirmAction(pauses ? `Pause ${member.name}?` : `Let ${member.name} go on?`,
      pauses ? 'It finishes what it has, and gets no more work until you let it go on.' : 'It gets work again.',
      'api/pause', {node: member.node, pause: pauses});
  },
  drain: (member) => confirmAction(`Drain ${member.name}?`, 'It hands over its work and its part of the parameters, then leaves the job.', 'api/drain', {node: member.node}),
};

function begin() {
  at('find').addEventListener('input', () => { if (state) take(state); });
  at('all-events').addEventListener('change', showEvents);
  at('confirm-form').addEventListener('submit', act);
  at('confirm-no').addEventListener('click', () => at('confirm').close());
  at('pause').addEventListener('click', () => confirmAction(state.paused ? 'Let all go on?' : 'Pause all devices?',
    state.paused ? 'All devices get work again.' : 'They finish what they have, and get no more work until you let them go on.',
    'api/pause', {node: 0, pause: !state.paused}));
  at('stop').addEventListener('click', () => confirmAction('Stop the job?', 'A checkpoint is taken, then the job ends; manage --resume goes on with it.', 'api/stop', {}));
  makeCharts();
  loadHistory().catch(showTrouble);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    makeCharts();
    if (history_) showEvents();
  });
  document.addEventListener('visibilitychange', drawCharts);
  const source = new EventSource('events');
  source.addEventListener('state', (event) => take(JSON.parse(event.data)));
  source.addEventListener('open', () => { if (history_) loadHistory().catch(showTrouble); });
  setInterval(showLive, 1000);
}

begin();

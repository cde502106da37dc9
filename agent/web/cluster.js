// cluster.js - what is known of the cluster, kept up by the stream of events. Views read it and are told what has changed.

import { Refused, ask, events, why } from './api.js';
import { TERMINAL } from './dom.js';

export const ROWS_MAX = 10000;          // tasks that are held
export const SECONDS = 120;             // of the charts
export const SETTLED_MS = 1500;         // an agent's answers lag behind what is heard by a heartbeat
const PAGE = 200, SILENT_MS = 5000, STALE_MS = 3500, TRAIL_MAX = 100, OUTPUT_MAX = 262144;

export const link = { state: 'connecting', why: '', fresh: 0 };      // connecting, live, stale, lost, refused; fresh: as of when
export const cluster = { agent: '', name: '', version: '', sovereign: 'timmy', houses: new Map(), agents: new Map() };
export const tasks = new Map();
export const changed = new Set();        // rows that came or became otherwise since listeners were told last
export const approvals = { list: [], count: 0, more: false, known: false };
export const alerts = { list: [], cleared: [], rules: [], count: 0, known: false };
export const watched = { id: '', trail: [], output: '', attempt: 0, cut: false, percent: null, note: '' };
export const seconds = [];              // {at, ended, bad, times: []}, oldest first

// ---- who wants to know ----

const listeners = new Set(), news = new Set();

export function listen(fn) {
	listeners.add(fn);
	return () => listeners.delete(fn);
}

export function tell(what) {
	if (!news.size) requestAnimationFrame(flush);
	news.add(what);
}

function flush() {
	const what = new Set(news);
	news.clear();
	for (const fn of listeners) fn(what);
	changed.clear();
}

function setLink(state, reason = '') {
	if (link.state === state && link.why === reason) return;
	link.state = state;
	link.why = reason;
	tell('link');
}

// ---- houses and agents ----

export function isAlive(a) {
	return !!a.health && a.health.state !== 'offline' && !!a.heard && performance.now() - a.heard < SILENT_MS;
}

// What its owner says of a house: the highest term of those who say so.
export function ownerOf(house) {
	let best = null;
	for (const a of cluster.agents.values()) {
		const part = a.health?.houses?.find((p) => p.house === house && p.role === 'owner');
		if (!part || a.health.state === 'offline') continue;
		const found = { agent: a.agent, part, alive: isAlive(a), term: parseInt(part.term, 10) };
		if (!best || found.term > best.term || (found.term === best.term && found.alive && !best.alive)) best = found;
	}
	return best;
}

async function loadCluster() {
	const c = await ask('/v1/cluster');
	const now = performance.now();
	Object.assign(cluster, { agent: c.agent, name: c.cluster, version: c.version, sovereign: c.sovereign });
	cluster.houses = new Map(c.houses.map((x) => [x.house, x]));
	for (const a of c.agents) {
		const known = cluster.agents.get(a.agent);
		if (known?.heard && !(a.heard_ms !== undefined && now - a.heard_ms > known.heard)) continue;
		cluster.agents.set(a.agent, { ...a, heard: a.heard_ms === undefined ? 0 : now - a.heard_ms });
	}
	tell('cluster');
}

let reload = 0;
function loadClusterSoon() {
	reload ||= setTimeout(() => {
		reload = 0;
		loadCluster().catch(() => {});
	}, 300);
}

function onHealth(agent, health) {
	const known = cluster.agents.get(agent) || { agent, home: null };
	const alive = health.state !== 'offline';
	cluster.agents.set(agent, { ...known, health: alive ? health : { ...known.health, state: 'offline' },
		heard: alive ? performance.now() : known.heard });
	for (const p of health.houses || []) {
		const owners = cluster.houses.get(p.house)?.owners;
		if (p.role === 'owner' && owners && !owners.some((o) => o.term === p.term)) loadClusterSoon();
	}
	if (agent === cluster.agent && alive) {
		beat = performance.now();
		link.fresh = Date.now();
		if (link.state === 'stale') setLink('live');
	}
	tell('cluster');
}

// ---- tasks ----

const AFTER = { accepted: 'queued', scheduled: 'scheduled', waiting_approval: 'waiting_approval', forwarded: 'forwarded',
	handed_over: 'forwarded', starting: 'starting', started: 'running', retrying: 'retrying', requeued: 'queued' };

function prune() {
	if (tasks.size <= ROWS_MAX + 500) return;
	const rows = [...tasks.values()].filter((r) => TERMINAL.has(r.state)).sort((a, b) => (a.accepted < b.accepted ? -1 : 1));
	for (const r of rows.slice(0, tasks.size - ROWS_MAX)) tasks.delete(r.id);
	// A page that is not looked at is told nothing, and must not gather what is gone.
	changed.clear();
	tell('all');
}

function isOuter(row) {
	return row.state === 'forwarded' || row.house === '_';
}

// A row of a list; what was heard since it was asked for is newer.
function mergeRow(row, askedAt) {
	const known = tasks.get(row.id);
	if (known && (known.touched > askedAt || (isOuter(row) && !isOuter(known)))) return;
	// A follower tells of an end only when it knows that nobody else can come to another one, a heartbeat later.
	if (known && TERMINAL.has(known.state) && !TERMINAL.has(row.state)) return;
	const held = known ? Object.assign(known, row) : { ...row, touched: 0 };
	tasks.set(row.id, held);
	changed.add(held);
}

// A page of the newest; before: from where to go on. Returns that of the next page, 0 if there is none.
export async function loadTasks(filters, before) {
	const q = new URLSearchParams({ limit: PAGE });
	for (const [k, v] of Object.entries(filters)) if (v) q.set(k, v);
	if (before) q.set('before', before);
	const asked = performance.now(), page = await ask('/v1/tasks?' + q);
	for (const row of page.tasks) mergeRow(row, asked);
	tell('tasks');
	return page.next || 0;
}

function secondOf(ms) {
	const at = Math.floor(ms / 1000);
	let s = seconds[seconds.length - 1];
	if (!s || at > s.at + SECONDS) seconds.length = 0;
	for (s = seconds[seconds.length - 1]; !s || s.at < at; s = seconds[seconds.length - 1]) {
		seconds.push({ at: s ? s.at + 1 : at, ended: 0, bad: 0, times: [] });
		if (seconds.length > SECONDS) seconds.shift();
	}
	return s;
}

function countEnd(row, e) {
	const s = secondOf(Date.now()), ms = new Date(e.time) - new Date(row.accepted);
	s.ended++;
	if (e.state !== 'succeeded') s.bad++;
	if (ms >= 0) s.times.push(ms);
}

function onTask(house, agent, e) {
	let row = tasks.get(e.id);
	if (!row && e.type === 'accepted') {
		row = { id: e.id, house, tool: e.task.tool, sender: e.sender, state: 'queued', attempt: 0, priority: e.task.priority ?? 4,
			mode: e.task.mode || 'simple', accepted: e.time };
		tasks.set(e.id, row);
		prune();
	}
	if (e.type === 'outcome' && row) countEnd(row, e);
	if (!row || (house === '_' && !isOuter(row))) return;
	if (house !== '_') row.house = house;
	const was = row.state;
	row.touched = performance.now();
	row.state = e.type === 'outcome' || e.type === 'approved' ? e.state || row.state : AFTER[e.type] || row.state;
	row.attempt = e.attempt ?? row.attempt;
	row.cancelling = e.type === 'cancelling';
	if (e.type === 'outcome') {
		row.finished = e.time;
		row.error = e.error;
		row.run_ms = e.run_ms;
	}
	if (e.type === 'started' || e.type === 'starting') row.percent = undefined;
	changed.add(row);
	if (was === 'waiting_approval' || row.state === 'waiting_approval') loadApprovalsSoon(e.type);
	tell('tasks');
}

function onLog(e) {
	const row = tasks.get(e.id);
	if (row && e.type === 'progress' && !TERMINAL.has(row.state)) {
		row.percent = e.percent;
		changed.add(row);
		tell('tasks');
	}
	if (e.id !== watched.id) return;
	if (e.type === 'progress') Object.assign(watched, { percent: e.percent ?? null, note: e.note || '' });
	else addOutput(e);
	tell('task');
}

function addOutput(e) {
	if (e.attempt !== watched.attempt) Object.assign(watched, { attempt: e.attempt, output: '', end: undefined, cut: false });
	if (watched.end !== undefined ? e.offset > watched.end : e.offset > 0) watched.cut = true;
	if (watched.end !== undefined && e.offset < watched.end) return;
	watched.output = (watched.output + e.text).slice(-OUTPUT_MAX);
	watched.end = e.offset + new TextEncoder().encode(e.text).length;
}

export function watch(id) {
	Object.assign(watched, { id, trail: [], output: '', attempt: 0, end: undefined, cut: false, percent: null, note: '' });
}

// ---- approvals ----

async function loadApprovals() {
	const a = await ask('/v1/approvals');
	a.approvals.sort((x, y) => (x.task < y.task ? -1 : 1));
	Object.assign(approvals, { list: a.approvals, count: a.count, more: a.more, known: true });
	tell('approvals');
}

let again = 0;
function loadApprovalsSoon() {
	again ||= setTimeout(() => {
		again = 0;
		loadApprovals().catch(() => {});
	}, 200);
}

// ---- alerts ----

async function loadAlerts() {
	const a = await ask('/v1/alerts');
	Object.assign(alerts, { list: a.alerts, cleared: a.cleared, rules: a.rules, count: a.count, known: true });
	tell('alerts');
}

let alarm = 0;
function loadAlertsSoon() {
	alarm ||= setTimeout(() => {
		alarm = 0;
		loadAlerts().catch(() => {});
	}, 200);
}

// ---- the stream ----

function onEvent(type, d) {
	if (type === 'health') {
		onHealth(d.agent, d.event);
	} else if (type === 'log') {
		onLog(d.event);
	} else if (type === 'alert') {
		loadAlertsSoon();
	} else {
		if (d.event.id) onTask(d.house, d.agent, d.event);
		if (d.event.id && d.event.id === watched.id) {
			watched.trail.push({ ...d.event, house: d.house, teller: d.agent });
			if (watched.trail.length > TRAIL_MAX) watched.trail.shift();
			tell('task');
		}
		if (type === 'owner') loadClusterSoon();
	}
}

let beat = 0, stop = null;

// Rows that were held may have changed meanwhile.
async function refresh() {
	tasks.clear();
	changed.clear();
	tell('all');
	await Promise.all([loadCluster(), loadTasks({}, 0), loadApprovals(), loadAlerts()]);
	setTimeout(() => loadTasks({}, 0).catch(() => {}), SETTLED_MS);
	tell('fresh');
}

async function run(signal) {
	let failures = 0;
	while (!signal.aborted) {
		try {
			await events(() => {
				beat = performance.now();
				refresh().then(() => {
					failures = 0;
					link.fresh = Date.now();
					setLink('live');
				}, (e) => setLink(e.status === 401 || e.status === 403 ? 'refused' : 'lost', e.message));
			}, onEvent, signal);
		} catch (e) {
			if (signal.aborted) return;
			if (e instanceof Refused && (e.status === 401 || e.status === 403)) {
				setLink('refused', e.message);
				return;
			}
			setLink('lost', e instanceof Refused ? e.message : 'the agent does not answer');
		}
		await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** failures++, 5000)));
	}
}

// No heartbeat of the agent itself: it has no broker, or stands.
async function second() {
	secondOf(Date.now());
	tell('second');
	if ((link.state === 'live' || link.state === 'stale') && performance.now() - beat > STALE_MS) {
		if (link.state === 'live') setLink('stale', 'it was not heard for some seconds');
		const reason = await why();
		if (link.state === 'stale' && reason) setLink('stale', reason);
	}
}

setInterval(second, 1000);

export function start() {
	stop?.abort();
	stop = new AbortController();
	setLink('connecting');
	run(stop.signal);
}

export function end() {
	stop?.abort();
	tasks.clear();
	cluster.agents.clear();
	cluster.houses.clear();
	Object.assign(approvals, { list: [], count: 0, known: false });
	Object.assign(alerts, { list: [], cleared: [], count: 0, known: false });
	seconds.length = 0;
}

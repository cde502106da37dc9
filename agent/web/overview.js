// overview.js - whether the cluster is well: what needs a look, how it goes, houses, agents.

import { isLoud } from './alerts.js';
import { SECONDS, alerts, approvals, cluster, isAlive, link, ownerOf, seconds } from './cluster.js';
import { ago, attr, clock, full, h, keyed, span, spark, text } from './dom.js';

const SKEW_MS = 2000;

// ---- what needs a look ----

function concerns() {
	const list = [];
	for (const x of cluster.houses.values()) {
		const o = ownerOf(x.house), name = x.house === '_' ? 'The router' : `House ${x.house}`;
		if (!o) list.push(['bad', `${name} has no owner`, 'Nothing of it starts until an agent claims it.']);
		else if (!o.alive) list.push(['bad', `${name} is ${o.agent}'s, who is silent`, 'Another candidate takes it over if one is there.']);
		for (const b of o?.part.breakers || [])
			if (b.state !== 'closed') list.push(['warn', `Breaker ${stateOf(b)}: ${b.tool} to ${b.target}`, `${name}; ${b.error || 'it failed'}`]);
	}
	for (const a of cluster.agents.values()) {
		if (!isAlive(a)) list.push([a.heard ? 'bad' : 'warn', `Agent ${a.agent} is away`, a.heard ? 'It was here a moment ago.' :
			'It has not been heard since this agent began.']);
		else if (a.health.disk_low) list.push(['bad', `Agent ${a.agent} is short of disk`, 'It refuses new tasks.']);
		else if (a.health.degraded) list.push(['warn', `Agent ${a.agent} is under stress: ${(a.health.stress || []).map((s) => s.name).join(', ')}`,
			'Tasks of low priority are refused until it is over.']);
		else if (a.health.sovereign?.behind) list.push(['warn', `Agent ${a.agent} waits for what the sovereign signed`,
			'It starts nothing until it has it.']);
		if (isAlive(a) && Math.abs(skew(a)) > SKEW_MS) list.push(['warn', `The clock of ${a.agent} differs`, span(Math.abs(skew(a)))]);
	}
	return list;
}

function stateOf(b) {
	return b.state.replace('_', '-');
}

// Against the clock of the agent that serves this page, both as of their latest heartbeats.
function skew(a) {
	const own = cluster.agents.get(cluster.agent);
	if (!own?.health?.time || !a.health?.time || !own.heard || !a.heard) return 0;
	return (new Date(a.health.time) - new Date(own.health.time)) - (a.heard - own.heard);
}

function needsLook() {
	const list = h('ul.concerns'), calm = h('p.all-well', {}, h('i.dot.good', { 'aria-hidden': 'true' }), 'All is well: every house has an owner, every agent is heard.');
	const e = h('section.look', { 'aria-label': 'What needs a look' }, calm, list);
	e.draw = () => {
		const found = concerns(), n = approvals.count, loud = alerts.list.filter(isLoud), critical = loud.filter((x) => x.severity === 'critical').length;
		if (n) found.push(['warn', `${n}${approvals.more ? ' or more' : ''} ${n === 1 ? 'task waits' : 'tasks wait'} for approval`,
			`Look at what ${n === 1 ? 'it' : 'they'} would do.`, '#/approvals']);
		if (loud.length) found.push([critical ? 'bad' : 'warn', `${loud.length} ${loud.length === 1 ? 'alert is' : 'alerts are'} raised`,
			critical ? `${critical} critical. Look at what to do.` : 'Look at what to do.', '#/alerts']);
		calm.hidden = found.length > 0 || cluster.houses.size === 0;
		keyed(list, found, (c) => c[0] + (c[3] || c[1]), (c) => h('li', {}, h((c[3] ? 'a' : 'div') + '.concern.' + c[0], { href: c[3] }, h('b'), h('span'))), (li, c) => {
			text(li.querySelector('b'), c[1]);
			text(li.querySelector('span'), c[2]);
		});
	};
	return e;
}

// ---- figures ----

function percentile(times, p) {
	const all = times.slice().sort((a, b) => a - b);
	return all.length ? all[Math.min(all.length - 1, Math.floor(all.length * p))] : null;
}

function padded(values) {
	return [...Array(Math.max(0, SECONDS - values.length)).fill(null), ...values.slice(-SECONDS)];
}

function tile(title, chart) {
	const n = h('b.figure', { text: '–' }), note = h('span.note', { text: ' ' });
	const e = h('div.tile', {}, h('h3', { text: title }), n, note, chart);
	e.say = (figure, more) => {
		text(n, figure);
		text(note, more || '\u00a0');
	};
	return e;
}

function sum(name) {
	let n = 0;
	for (const x of cluster.houses.values()) n += ownerOf(x.house)?.part[name] || 0;
	return n;
}

function figures() {
	const rate = spark('Tasks ended per second'), lag = spark('95th percentile, milliseconds');
	const through = tile('Throughput', rate), latency = tile('Latency', lag), open = tile('Open'), bad = tile('Ended badly');
	const e = h('section', { 'aria-labelledby': 'figures' }, h('h2', { id: 'figures', text: 'Now' }),
		h('div.tiles', {}, through, latency, open, bad));
	e.draw = () => {
		const done = seconds.slice(0, -1), ten = done.slice(-10), recent = done.slice(-60).flatMap((s) => s.times);
		const n = ten.reduce((x, s) => x + s.ended, 0) / Math.max(1, ten.length);
		const p50 = percentile(recent, 0.5), p95 = percentile(recent, 0.95);
		const seen = done.reduce((x, s) => x + s.ended, 0), wrong = done.reduce((x, s) => x + s.bad, 0);
		through.say((n < 10 ? n.toFixed(1) : Math.round(n)) + '/s', 'over 10 s');
		rate.draw(padded(done.map((s) => s.ended)), `${n.toFixed(1)} now`);
		latency.say(span(p50), p95 === null ? 'nothing ended in the last minute' : `median of a minute; p95 ${span(p95)}`);
		lag.draw(padded(done.map((s) => percentile(s.times, 0.95))), p95 === null ? 'nothing ended' : span(p95));
		open.say(sum('open'), `${sum('queued')} queued, ${sum('running')} running`);
		bad.say(seen ? (100 * wrong / seen).toFixed(wrong && wrong < seen ? 1 : 0) + ' %' : '–', seen ? `${wrong} of ${seen} in ${span(done.length * 1000)}` :
			'nothing ended since this page began');
	};
	return e;
}

// ---- houses ----

function candidateWord(x, o, name) {
	const a = cluster.agents.get(name);
	if (o?.agent === name) return ['good', 'owner'];
	if (!a || !isAlive(a)) return ['bad', 'away'];
	if (!a.health.houses?.some((p) => p.house === x.house)) return ['calm', 'not following'];
	return o?.part.in_step?.includes(name) ? ['good', 'in step'] : ['warn', 'behind'];
}

// Newest first: those whose events are known, and those that were heard.
function reigns(x) {
	const all = new Map(x.terms.map((t) => [t, { term: t, agent: t.split('.').slice(1, -1).join('.'), since: '' }]));
	for (const r of x.owners) all.set(r.term, r);
	return [...all.values()].sort((a, b) => parseInt(b.term, 10) - parseInt(a.term, 10));
}

function newHouse(x) {
	return h('article.card', { 'aria-label': x.house === '_' ? 'Router' : 'House ' + x.house },
		h('header', {}, h('h3', { text: x.house === '_' ? 'router' : x.house }), h('span.role', { text: x.house === '_' ? 'chooses houses' : x.role || '' }),
			h('span.chip')),
		h('dl.facts', {}, ...['Owner', 'Term', 'Queued', 'Running', 'Ended'].map((n) => h('div', {}, h('dt', { text: n }), h('dd')))),
		h('ul.candidates', { 'aria-label': 'Candidates' }),
		h('details', {}, h('summary'), h('ol.reigns')));
}

function drawHouse(e, x) {
	const o = ownerOf(x.house), c = e.querySelector('header .chip'), dd = e.querySelectorAll('dd'), p = o?.part || {};
	const bad = (p.failed || 0) + (p.dead || 0), owners = reigns(x), changes = owners.filter((r, i) => i + 1 < owners.length && r.agent !== owners[i + 1].agent);
	c.className = 'chip ' + (!o || !o.alive ? 'bad' : 'good');
	text(c, !o ? 'no owner' : !o.alive ? 'silent' : 'held');
	text(dd[0], o ? o.agent : '–');
	text(dd[1], o ? `${o.term}, ${ago(p.since)}` : '–');
	text(dd[2], p.queued ?? '–');
	text(dd[3], p.running ?? '–');
	text(dd[4], o ? `${p.succeeded || 0}${bad ? `, ${bad} badly` : ''}` : '–');
	keyed(e.querySelector('.candidates'), x.candidates, (n) => n, (n) => h('li', {}, h('i.dot', { 'aria-hidden': 'true' }), h('span', { text: n }), h('small')),
		(li, n) => {
			const [t, word] = candidateWord(x, o, n);
			li.firstChild.className = 'dot ' + t;
			text(li.lastChild, word);
		});
	text(e.querySelector('summary'), !changes.length ? 'It had no other owner' :
		`${changes.length} change${changes.length > 1 ? 's' : ''} of owner${changes[0].since ? `, the last at ${clock(changes[0].since)}` : ''}`);
	keyed(e.querySelector('.reigns'), owners, (r) => r.term, (r) => h('li', {}, h('time', r.since ? { datetime: r.since, title: full(r.since), text: clock(r.since) } : { text: 'before' }), ' ', h('b', { text: r.agent }),
		h('small', { text: ` term ${parseInt(r.term, 10)}` })));
	attr(e, 'data-owner', o?.agent || '');
}

// ---- agents ----

function drawAgent(row, a) {
	const [state, seen, , load, version] = row.querySelectorAll('td');
	const alive = isAlive(a), x = a.health || {};
	state.firstChild.className = 'chip ' + (!alive ? 'bad' : x.state === 'stopping' || x.disk_low ? 'warn' : 'good');
	text(state.firstChild, alive ? (x.disk_low ? 'disk low' : x.state) : a.heard ? 'lost' : 'not heard');
	text(seen, a.heard ? (alive ? 'now' : span(performance.now() - a.heard) + ' ago') : '–');
	text(row.querySelectorAll('td')[2], !alive ? '–' : x.up_s < 1 ? 'just began' : span(x.up_s * 1000));
	text(load, alive ? `${x.slots} worker${x.slots === 1 ? '' : 's'}, owns ${(x.houses || []).filter((p) => p.role === 'owner').map((p) => (p.house === '_' ? 'router' : p.house)).join(', ') || 'nothing'}` : '–');
	text(version, x.version ? `${x.version} on ${x.host}` : '–');
}

function newAgent(a) {
	return h('tr', {}, h('th', { scope: 'row' }, a.agent, a.agent === cluster.agent ? h('small', { text: ' serves this page' }) : null),
		h('td', {}, h('span.chip')), ...['Heard', 'Up', 'Work', 'Version'].map((n) => h('td', { 'data-label': n })));
}

export function overview(main) {
	const look = needsLook(), now = figures(), houses = h('div.cards'), body = h('tbody');
	const agents = h('table.agents', {}, h('thead', {}, h('tr', {}, ...['Agent', 'State', 'Heard', 'Up', 'Work', 'Version'].map((n) => h('th', { scope: 'col', text: n })))), body);
	main.append(h('h1.sr', { text: 'Overview' }), look, now,
		h('section', { 'aria-labelledby': 'houses' }, h('h2', { id: 'houses', text: 'Houses' }), houses),
		h('section', { 'aria-labelledby': 'agents' }, h('h2', { id: 'agents', text: 'Agents' }), agents));
	const draw = (what) => {
		if (what && !['cluster', 'second', 'approvals', 'alerts', 'fresh', 'link'].some((w) => what.has(w))) return;
		// What is not known is not said; the rest stays as it was.
		look.hidden = link.state !== 'live';
		if (link.state !== 'live') return;
		look.draw();
		now.draw();
		keyed(houses, [...cluster.houses.values()], (x) => x.house, newHouse, drawHouse);
		keyed(body, [...cluster.agents.values()], (a) => a.agent, newAgent, drawAgent);
	};
	draw();
	return draw;
}

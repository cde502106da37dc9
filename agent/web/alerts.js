// alerts.js - what is raised, what people said of it, what was cleared lately, and what to do: the runbook.

import { alerts, cluster } from './cluster.js';
import { ago, clock, command, full, h, keyed, sentence, span, text } from './dom.js';

const RANK = { critical: 0, warning: 1 };

// What is told: neither seen nor silenced by anybody.
export function isLoud(x) {
	return !x.acknowledged_by && !x.silenced_by;
}

function about(x) {
	return x.name.includes('.') ? x.name.slice(x.name.indexOf('.') + 1) : '';
}

// The host of the agent that it is about, else of the one that says it.
function hostOf(x) {
	const host = (agent) => cluster.agents.get(agent)?.health?.host;
	return host(about(x)) || host(x.agent) || '–';
}

function valueOf(x, n) {
	return `${n.toLocaleString()}${x.unit ? ' ' + x.unit : ''}`;
}

function fact(name) {
	return h('div', {}, h('dt', { text: name }), h('dd'));
}

function severity(x) {
	return h('span.chip.' + (x.severity === 'critical' ? 'bad' : 'warn'), { text: x.severity });
}

// ---- raised ----

function newAlert(x) {
	const bad = x.severity === 'critical';
	return h('article.card.alert.' + (bad ? 'bad' : 'warn'), { 'aria-label': `${x.severity} ${x.name}`, 'data-name': x.name },
		h('header', {}, severity(x), h('h2', {}, x.alert, about(x) ? h('small', { text: ' ' + (about(x) === '_' ? 'router' : about(x)) }) : null), h('span.since')),
		h('p.what', { text: sentence(x.text) }),
		h('dl.facts', {}, ...['Value', 'Since', 'Host', 'Said by'].map(fact)),
		h('p.todo', {}, h('b', { text: 'Do: ' }), ...code(about(x) ? x.do.replaceAll('NAME', about(x)) : x.do), '. ', h('a', { href: '#/alerts/' + x.alert, text: 'Runbook' })),
		h('p.muted', { hidden: true }),
		h('details', {}, h('summary', { text: 'Acknowledge or silence' }), command('uni-wizard alerts ack ' + x.name), command(`uni-wizard alerts silence ${x.name} --for 1h`)));
}

function drawAlert(e, x) {
	const dd = e.querySelectorAll('dd'), quiet = !isLoud(x), note = e.querySelector('.muted');
	text(e.querySelector('.since'), ago(x.since));
	text(dd[0], `${valueOf(x, x.value)}, limit ${valueOf(x, x.limit)}`);
	text(dd[1], full(x.since));
	text(dd[2], hostOf(x));
	text(dd[3], x.agent);
	e.classList.toggle('quieted', quiet);
	note.hidden = !quiet;
	e.querySelector('details').hidden = quiet;
	if (quiet) text(note, x.acknowledged_by ? `Seen by ${x.acknowledged_by}: told again when it is raised anew.` :
		`Silenced by ${x.silenced_by} until ${full(x.muted_until)}.`);
}

// `commands` as in the documentation.
function code(s) {
	return s.split('`').map((part, i) => (i % 2 ? h('code', { text: part }) : part));
}

// ---- cleared ----

function newCleared(x) {
	return h('li', {}, severity(x), h('b', { text: x.name }), h('span.note', { text: `for ${span(new Date(x.cleared) - new Date(x.since))}, said by ${x.agent}` }),
		h('time', { datetime: x.cleared, title: full(x.cleared), text: 'cleared ' + clock(x.cleared) }));
}

// ---- the runbook ----

function newRule(r) {
	return h('details.rule', { id: 'rule-' + r.alert }, h('summary', {}, h('b', { text: r.alert }), ' ', severity(r), r.on ? null : h('span.chip', { text: 'off' })),
		h('p', { text: sentence(r.text) }),
		h('p.note', { text: `Raised ${r.side} ${valueOf(r, r.limit)} for ${r.raise_s} s, cleared after ${r.clear_s} s without.` }),
		h('p', {}, h('b', { text: 'What to do: ' }), ...code(r.do), '.'),
		h('p.note', { text: `docs/TROUBLESHOOTING.md#${r.alert}` }));
}

export function alertsView(main, rule) {
	const cards = h('div.stack'), none = h('p.all-well', {}, h('i.dot.good', { 'aria-hidden': 'true' }), 'No alert is raised.'), more = h('p.note');
	const past = h('ol.cleared'), nothing = h('p.empty', { text: 'None since this agent began.' }), rules = h('div.rules');
	main.append(h('h1', { text: 'Alerts' }), none, cards, more,
		h('section.panel', { 'aria-labelledby': 'cleared' }, h('h2', { id: 'cleared', text: 'Cleared' }), nothing, past),
		h('section.panel', { 'aria-labelledby': 'runbook' }, h('h2', { id: 'runbook', text: 'Runbook' }), rules));
	let led = !rule;
	const draw = (what) => {
		if (what && !['alerts', 'second', 'fresh', 'cluster'].some((w) => what.has(w))) return;
		const list = alerts.list.slice().sort((a, b) => isLoud(b) - isLoud(a) || RANK[a.severity] - RANK[b.severity] || (a.since < b.since ? 1 : -1));
		none.hidden = list.length > 0 || !alerts.known;
		keyed(cards, list, (x) => `${x.agent} ${x.name}`, newAlert, drawAlert);
		text(more, alerts.count > list.length ? `${alerts.count} are raised; ${list.length} are shown.` : '');
		nothing.hidden = alerts.cleared.length > 0 || !alerts.known;
		keyed(past, alerts.cleared, (x) => `${x.agent} ${x.name} ${x.cleared}`, newCleared);
		keyed(rules, alerts.rules, (r) => r.alert, newRule);
		const to = led ? null : document.getElementById('rule-' + rule);
		if (to) {
			led = to.open = true;
			to.scrollIntoView({ block: 'center' });
			to.querySelector('summary').focus({ preventScroll: true });
		}
	};
	draw();
	return draw;
}

// approvals.js - what waits for the sovereign, with all that is needed to decide. His word is given where his key is.

import { approvals, cluster } from './cluster.js';
import { command, full, h, keyed, span, text } from './dom.js';
import { forecast, predict } from './task.js';

function diff(s) {
	return h('pre.diff', { tabindex: 0, role: 'region', 'aria-label': 'What it would do' }, ...s.split(/(?<=\n)/).map((l) =>
		h('span' + (/^\+(?!\+\+)/.test(l) ? '.add' : /^-(?!--)/.test(l) ? '.del' : /^@@/.test(l) ? '.at' : ''), { text: l })));
}

function touches(list) {
	if (!Array.isArray(list)) return h('p.note', { text: 'It cannot say what it touches.' });
	if (!list.length) return h('p.note', { text: 'It touches nothing.' });
	return h('ul.touches', {}, ...list.map((t) => h('li', {}, h('b', { text: `${t.access || 'write'} ${t.kind}` }), ' ', h('code', { text: t.name }),
		h('small', { text: t.sha256 === null ? ' not there yet' : t.sha256 ? ` now ${t.sha256.slice(0, 16)}…` : '' }))));
}

function field(name, value) {
	return value ? h('div', {}, h('dt', { text: name }), h('dd', {}, value instanceof Node ? value : String(value))) : null;
}

function newCard(r) {
	const a = r.approval || {}, s = a.subject || {}, sovereign = cluster.sovereign, likely = h('div');
	const card = h('article.card.approval', { 'aria-label': `${r.tool} in house ${r.house}` },
		h('header', {}, h('h2', {}, r.tool), h('span.role', { text: `house ${r.house}` }), h('span.chip.warn', { text: r.asked ? 'waits' : 'being looked at' }),
			h('span.left')));
	if (!r.asked) {
		card.append(h('p.note', { text: 'An agent of the house is finding out what it would do.' }), h('a', { href: '#/task/' + r.task, text: 'The task' }));
		return card;
	}
	card.append(h('p.why', {}, a.target ? h('b', { text: a.target }) : null, a.why ? ` — ${a.why}` : null));
	card.append(h('dl.facts.wide', {}, field('Asked by', s.sender), field('Effect', s.effect), field('Mode', s.mode), field('Looked at by', a.agent),
		field('Task', h('a.mono', { href: '#/task/' + r.task, text: r.task })), field('Decide until', a.expires && full(a.expires)),
		field('Hash', h('code.mono', { text: a.hash }))));
	card.append(h('h3', { text: 'Touches' }), touches(s.touches));
	if (a.dry_run) card.append(h('h3', { text: 'What it would do' }), diff(a.dry_run));
	card.append(h('details', {}, h('summary', { text: 'Parameters' }), h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Parameters', text: JSON.stringify(s.params, null, 2) })));
	card.append(h('h3', { text: 'Prediction' }), likely);
	predict(r.tool, r.house, s.params).then((p) => likely.replaceChildren(...forecast(p)), (e) => text(likely, e.message));
	if (r.valid)
		card.append(h('div.decide', {}, h('p', {}, `${sovereign} decides where his key is; no agent has it, so it is not done from here. `, 'The command signs exactly what stands here: with another hash it refuses.'),
			command(`uni-wizard approve ${r.task} --hash ${a.hash.slice(0, 16)}`), command(`uni-wizard deny ${r.task} --hash ${a.hash.slice(0, 16)} --why "..."`)));
	else
		card.append(h('p.error', { role: 'alert', text: 'Not to be approved: its hash is not that of what it shows.' }));
	return card;
}

export function approvalsView(main) {
	const cards = h('div.stack'), none = h('p.empty', { text: 'Nothing waits for approval.' }), more = h('p.note');
	main.append(h('h1', { text: 'Approvals' }), none, cards, more);
	const draw = (what) => {
		if (what && !['approvals', 'second', 'fresh'].some((w) => what.has(w))) return;
		none.hidden = approvals.list.length > 0 || !approvals.known;
		keyed(cards, approvals.list, (r) => `${r.task} ${r.approval?.hash}`, newCard, (e, r) => {
			const left = r.approval?.expires ? r.approval.expires - Date.now() : 0;
			text(e.querySelector('.left'), left > 0 ? `denied by itself in ${span(left)}` : '');
		});
		text(more, approvals.count > approvals.list.length ? `${approvals.count}${approvals.more ? ' or more' : ''} wait; the newest ${approvals.list.length} are shown. uni-wizard approvals lists all.` : '');
	};
	draw();
	return draw;
}

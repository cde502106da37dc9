// approvals.js - what waits for the sovereign, with all that is needed to decide; signed by his signer on this machine, or by command.

import { approvals, cluster } from './cluster.js';
import { clock, command, full, h, keyed, span, text } from './dom.js';
import { diff, field, hostOf, openDecision, parameters, touches } from './decide.js';
import { START, forgetSigner, hashOf, signer } from './signer.js';
import { forecast, predict } from './task.js';

const decided = new Map();      // task and hash: what was signed here, until it is gone from the list

function keyOf(r) {
	return `${r.task} ${r.approval?.hash}`;
}

function announce(said) {
	text(document.querySelector('.told'), said);
}

// ---- the signer ----

function isOurs() {
	return signer.state === 'there' && signer.cluster === cluster.name && signer.sovereign === cluster.sovereign;
}

function signerLine() {
	const dot = h('i.dot', { 'aria-hidden': 'true' }), said = h('span', { role: 'status' }), forget = h('button.quiet', { type: 'button', text: 'Forget it', onclick: forgetSigner });
	const start = command(START), e = h('div.signer', {}, h('p', {}, dot, said, forget), start);
	e.draw = () => {
		const there = signer.state === 'there', ours = isOurs();
		dot.className = 'dot ' + (ours ? 'good' : signer.state === 'none' ? 'calm' : 'bad');
		text(said, ours ? `You decide as ${signer.sovereign}, with the key ${signer.key}, until ${clock(signer.until)}.` :
			there ? `The signer is ${signer.sovereign}'s of the cluster ${signer.cluster}; this is ${cluster.sovereign}'s ${cluster.name}.` :
				signer.state === 'gone' ? `The signer is gone: ${signer.why}. Start it where ${cluster.sovereign}'s key is, and open its link:` :
					`To decide with buttons, start the signer where ${cluster.sovereign}'s key is, and open its link:`);
		start.hidden = ours;
		forget.hidden = ours || signer.state === 'none';
	};
	return e;
}

// ---- a card ----

function newDecide(r) {
	const hash = r.approval.hash.slice(0, 16), note = h('p.note', { role: 'status', hidden: true });
	const choose = (decision) => openDecision(r, decision, (taken) => {
		decided.set(keyOf(r), [decision === 'approve' ? 'Approved' : 'Denied', taken]);
		announce(`${r.tool} ${decision === 'approve' ? 'approved' : 'denied'}`);
		draw();
	});
	const buttons = h('div.buttons', {}, h('button.danger', { type: 'button', text: 'Deny…', onclick: () => choose('deny') }),
		h('button.main', { type: 'button', text: 'Approve…', onclick: () => choose('approve') }));
	const commands = h('details', {}, h('summary', { text: 'Or by command' }), command(`uni-wizard approve ${r.task} --hash ${hash}`),
		command(`uni-wizard deny ${r.task} --hash ${hash} --why "..."`));
	const e = h('div.decide', {}, note, buttons, commands);
	let was = null;
	function draw() {
		const ours = isOurs(), d = decided.get(keyOf(r));
		buttons.hidden = !ours || !!d;
		commands.hidden = !!d;
		note.hidden = !d;
		if (d) text(note, `${d[0]} and signed; ${d[1] ? 'the house has it.' : 'the owner of the house takes it as soon as it can.'}`);
		if (was !== ours) commands.open = !ours;
		was = ours;
	}
	e.draw = draw;
	return e;
}

function newCard(r) {
	const a = r.approval || {}, s = a.subject || {}, likely = h('div');
	const card = h('article.card.approval', { 'aria-label': `${r.tool} in house ${r.house}` },
		h('header', {}, h('h2', {}, r.tool), h('span.role', { text: `house ${r.house}` }), h('span.chip.warn', { text: r.asked ? 'waits' : 'being looked at' }),
			h('span.left')));
	if (!r.asked) {
		card.append(h('p.note', { text: 'An agent of the house is finding out what it would do.' }), h('a', { href: '#/task/' + r.task, text: 'The task' }));
		return card;
	}
	card.append(h('p.why', {}, a.target ? h('b', { text: a.target }) : null, a.why ? ` — ${a.why}` : null));
	card.append(h('dl.facts.wide', {}, field('Asked by', s.sender), field('Effect', s.effect), field('Mode', s.mode), field('Looked at on', hostOf(a)),
		field('Task', h('a.mono', { href: '#/task/' + r.task, text: r.task })), field('Decide until', a.expires && full(a.expires)),
		field('Hash', h('code.mono', { text: a.hash }))));
	card.append(h('h3', { text: 'Touches' }), touches(s.touches));
	if (a.dry_run) card.append(h('h3', { text: 'What it would do' }), diff(a.dry_run));
	card.append(h('details', {}, h('summary', { text: 'Parameters' }), parameters(s)));
	card.append(h('h3', { text: 'Prediction' }), likely);
	predict(r.tool, r.house, s.params).then((p) => likely.replaceChildren(...forecast(p)), (e) => text(likely, e.message));
	const refuse = () => card.append(h('p.error', { role: 'alert', text: 'Not to be approved: its hash is not that of what it shows.' }));
	if (!r.valid) {
		refuse();
		return card;
	}
	// Not only the agent says that the hash fits.
	hashOf(s).then((hash) => {
		if (hash !== a.hash) return refuse();
		card.append(card.decide = newDecide(r));
		card.decide.draw();
	}, (e) => card.append(h('p.error', { role: 'alert', text: e.message })));
	return card;
}

// ---- the view ----

export function approvalsView(main) {
	const cards = h('div.stack'), none = h('p.empty', { text: 'Nothing waits for approval.' }), more = h('p.note'), line = signerLine();
	main.append(h('h1', { text: 'Approvals' }), line, none, cards, more);
	const draw = (what) => {
		if (what && !['approvals', 'second', 'fresh', 'signer', 'cluster'].some((w) => what.has(w))) return;
		const keys = new Set(approvals.list.map(keyOf));
		for (const k of decided.keys()) if (!keys.has(k)) decided.delete(k);
		line.draw();
		none.hidden = approvals.list.length > 0 || !approvals.known;
		keyed(cards, approvals.list, keyOf, newCard, (e, r) => {
			const left = r.approval?.expires ? r.approval.expires - Date.now() : 0;
			text(e.querySelector('.left'), left > 0 ? `denied by itself in ${span(left)}` : '');
			e.decide?.draw();
		});
		text(more, approvals.count > approvals.list.length ? `${approvals.count}${approvals.more ? ' or more' : ''} wait; the newest ${approvals.list.length} are shown. uni-wizard approvals lists all.` : '');
	};
	draw();
	return draw;
}

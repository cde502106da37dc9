// decide.js - the last look before a decision is signed: what it is about, exactly, and why.

import { approvals, cluster, listen } from './cluster.js';
import { full, h, sentence, text } from './dom.js';
import { decide, signer } from './signer.js';

const REASON_MAX = 255;         // bytes

export function diff(s) {
	return h('pre.diff', { tabindex: 0, role: 'region', 'aria-label': 'What it would do' }, ...s.split(/(?<=\n)/).map((l) =>
		h('span' + (/^\+(?!\+\+)/.test(l) ? '.add' : /^-(?!--)/.test(l) ? '.del' : /^@@/.test(l) ? '.at' : ''), { text: l })));
}

export function touches(list) {
	if (!Array.isArray(list)) return h('p.note', { text: 'It cannot say what it touches.' });
	if (!list.length) return h('p.note', { text: 'It touches nothing.' });
	return h('ul.touches', {}, ...list.map((t) => h('li', {}, h('b', { text: `${t.access || 'write'} ${t.kind}` }), ' ', h('code', { text: t.name }),
		h('small', { text: t.sha256 === null ? ' not there yet' : t.sha256 ? ` now ${t.sha256.slice(0, 16)}…` : '' }))));
}

export function field(name, value) {
	return value ? h('div', {}, h('dt', { text: name }), h('dd', {}, value instanceof Node ? value : String(value))) : null;
}

export function parameters(s) {
	return h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Parameters', text: JSON.stringify(s.params, null, 2) });
}

// Where it was looked at; the house may run it on another of its agents.
export function hostOf(a) {
	const host = cluster.agents.get(a.agent)?.health?.host;
	return host ? `${host} (${a.agent})` : a.agent;
}

function bytes(s) {
	return new TextEncoder().encode(s).length;
}

// r: what is shown in the list. done(taken) when it is signed.
export function openDecision(r, decision, done) {
	const a = r.approval, s = a.subject, approve = decision === 'approve', verb = approve ? 'Approve' : 'Deny';
	const reason = h('textarea', { id: 'reason', rows: 2, maxlength: REASON_MAX, required: !approve, 'aria-describedby': 'reason-help' });
	const wrong = h('p.error', { role: 'alert', hidden: true });
	const sign = h('button' + (approve ? '.main' : '.main.deny'), { type: 'submit', text: `${verb} as ${signer.sovereign}` });
	const cancel = h('button', { type: 'button', text: 'Cancel' });
	const form = h('form', {}, h('h2', { id: 'decision', text: `${verb} ${s.tool} in house ${s.house}?` }),
		h('div.exactly', { tabindex: 0, role: 'region', 'aria-label': 'What is decided' },
			h('dl.facts.wide', {}, field('House', s.house), field('Tool', `${s.tool} (${s.effect})`), field('Host', hostOf(a)), field('Target', a.target),
				field('Asked by', s.sender), field('Decide until', a.expires && full(a.expires)), field('Task', h('code.mono', { text: s.task })),
				field('Hash', h('code.mono', { text: a.hash }))),
			h('h3', { text: 'Touches' }), touches(s.touches), h('h3', { text: 'Parameters' }), parameters(s),
			a.dry_run ? [h('h3', { text: 'What it would do' }), diff(a.dry_run)] : null),
		h('label', { for: 'reason', text: approve ? 'Note (may be empty)' : 'Reason' }), reason,
		h('p.note', { id: 'reason-help', text: approve ? 'Kept with the decision. It is signed exactly for what stands here, once, and starts within an hour or not at all.' :
			'Whoever asked is told it. The task ends and never starts.' }), wrong, h('div.buttons', {}, cancel, sign));
	const box = h('dialog', { 'aria-labelledby': 'decision' }, form);
	let busy = false;

	function refuse(message) {
		wrong.hidden = !message;
		text(wrong, message);
	}

	function waits() {
		return approvals.list.some((x) => x.task === r.task && x.approval?.hash === a.hash);
	}

	form.addEventListener('submit', async (e) => {
		e.preventDefault();
		if (busy) return;
		const why = reason.value.trim();
		if (!approve && !why) {
			refuse('Say why: whoever asked is told it.');
			reason.focus();
			return;
		}
		if (bytes(why) > REASON_MAX) {
			refuse(`The text has ${bytes(why)} bytes; at most ${REASON_MAX} are kept.`);
			return;
		}
		busy = sign.disabled = true;
		text(sign, 'Signing…');
		refuse('');
		try {
			const { taken } = await decide(s, decision, why);
			box.close();
			done(taken);
		} catch (x) {
			refuse(sentence(x.message));
			busy = sign.disabled = false;
			text(sign, `${verb} as ${signer.sovereign}`);
		}
	});
	cancel.addEventListener('click', () => box.close());
	const stop = listen(() => {
		if (busy) return;
		sign.disabled = signer.state !== 'there' || !waits();
		if (!waits()) refuse('It does not wait any more, or was asked for anew. Nothing was signed.');
		else if (signer.state !== 'there') refuse(`The signer is gone: ${signer.why}. Nothing was signed.`);
	});
	box.addEventListener('close', () => {
		stop();
		box.remove();
	});
	document.body.append(box);
	box.showModal();
	// Not on the button: first it is looked at, and Enter decides nothing by mistake.
	box.querySelector('.exactly').focus();
	box.scrollTop = 0;
}

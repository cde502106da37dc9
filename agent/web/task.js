// task.js - one task: what became of it and when, what it said and gave, whose it is, and what was to be expected of it.

import { ask } from './api.js';
import { SETTLED_MS, cluster, tasks, watch, watched } from './cluster.js';
import { TERMINAL, attr, chip, clock, command, full, h, span, stateName, text, tone, when } from './dom.js';

const OUTPUTS = ['stdout', 'stderr', 'text', 'output', 'body', 'content', 'diff'];

// ---- the timeline ----

const EVENTS = { accepted: 'accepted', scheduled: 'waits', waiting_approval: 'waits for approval', approved: 'approved', forwarded: 'handed on',
	handed_over: 'handed over', starting: 'about to start', started: 'started', retrying: 'waits for another try', requeued: 'queued again',
	cancelling: 'is being stopped', adopted: 'adopted', kept: 'kept' };

// What the task itself remembers, and what was heard since this page was opened, once each.
function steps(t) {
	const list = [{ at: t.accepted, what: 'accepted', more: `by house ${t.house} from ${t.sender}`, tone: 'calm' }];
	if (t.approval?.asked) list.push({ at: new Date(t.approval.asked).toISOString(), what: 'asked for approval', more: t.approval.why || '', tone: 'warn' });
	for (const x of t.history || []) {
		list.push({ at: x.began, what: `attempt ${x.attempt} started`, more: x.agent ? `on ${x.agent}` : '', tone: 'busy', key: `started${x.attempt}` });
		list.push({ at: x.ended, what: `attempt ${x.attempt} ${x.how}`, more: [x.code, x.message].filter(Boolean).join(': '), tone: 'bad' });
	}
	for (const e of watched.trail) {
		if (e.type === 'outcome' || e.type === 'accepted' || !EVENTS[e.type]) continue;
		const key = e.type === 'started' ? `started${e.attempt}` : '';
		if (key && list.some((s) => s.key === key)) continue;
		list.push({ at: e.time, key, what: (e.type === 'started' ? `attempt ${e.attempt} ` : '') + EVENTS[e.type], tone: e.type === 'started' ? 'busy' : 'calm',
			more: e.agent ? `on ${e.agent}` : e.to ? `to ${e.to}: ${e.why}` : e.not_before ? `until ${clock(e.not_before)}` : e.error?.message || '' });
	}
	if (t.finished) list.push({ at: t.finished, what: stateName(t.state), more: t.run_ms !== undefined ? `after ${span(t.run_ms)} of work` : '', tone: tone(t.state), end: 1 });
	list.sort((a, b) => (a.end || 0) - (b.end || 0) || (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
	if (!t.finished) list.push({ what: stateName(t.state), more: t.held ? `held: ${t.held}` : t.halted ? `halted: ${t.halted}` :
		t.not_before ? `not before ${full(t.not_before)}` : t.waits_for?.length ? `waits for ${t.waits_for.length} other tasks` : 'now', tone: tone(t.state) });
	return list;
}

function timeline(t) {
	return h('ol.timeline', {}, ...steps(t).map((s) => h('li.' + s.tone, {}, h('b', { text: s.what }), s.at ? when(s.at) : null,
		s.more ? h('p', { text: s.more }) : null)));
}

// ---- what it gave ----

function pretty(v) {
	return typeof v === 'string' ? v : JSON.stringify(v, null, 2);
}

function block(title, body, cls = '') {
	return h('div.block', {}, h('h3', { text: title }), h('pre' + (cls && '.' + cls), { tabindex: 0, role: 'region', 'aria-label': title, text: body }));
}

function result(t) {
	const parts = [];
	if (t.error) parts.push(h('div.error', {}, h('b', { text: t.error.code }), h('p', { text: t.error.message })));
	if (t.result !== undefined) {
		const rest = { ...t.result }, plain = t.result && typeof t.result === 'object' && !Array.isArray(t.result);
		for (const k of OUTPUTS)
			if (plain && typeof rest[k] === 'string' && rest[k]) {
				parts.push(block(k, rest[k]));
				delete rest[k];
			}
		if (!plain || Object.keys(rest).length || !parts.length) parts.push(block('Result', pretty(plain ? rest : t.result)));
	}
	if (!parts.length) parts.push(h('p.empty', { text: TERMINAL.has(t.state) ? 'It gave nothing.' : 'Nothing yet.' }));
	return parts;
}

// ---- whose it is ----

function taskLink(id) {
	return h('a.mono', { href: '#/task/' + id, text: id });
}

function facts(t) {
	const b = t.task || {}, agents = [...new Set([...(t.history || []).map((x) => x.agent), ...watched.trail.map((e) => e.agent)].filter(Boolean))];
	const rows = [['Asked by', t.sender], ['House', t.house === '_' ? 'router' : t.house], ['Mode', t.mode], ['Priority', t.priority], ['Attempts', t.attempt],
		['Ran on', agents.join(', ')], ['Deadline', t.deadline && full(t.deadline)], ['Key', b.key], ['Parent', b.parent && taskLink(b.parent)],
		['Given again for', b.retry_of && taskLink(b.retry_of)], ['Waits for', b.after && h('span', {}, ...b.after.flatMap((i) => [taskLink(i), ' ']))],
		['Trace', b.traceparent], ['Labels', b.labels && JSON.stringify(b.labels)],
		['Read', t.notes?.reads?.length && t.notes.reads.map(pretty).join('\n')], ['Wrote', t.notes?.writes?.length && t.notes.writes.map(pretty).join('\n')],
		['Decision', t.approval?.decision && pretty(t.approval.decision)], ['Grant', t.approval?.grant]];
	return h('dl.facts.wide', {}, ...rows.filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== 0 && v !== false)
		.map(([k, v]) => h('div', {}, h('dt', { text: k }), h('dd', {}, v instanceof Node ? v : String(v)))));
}

// ---- what was to be expected ----

function share(x) {
	return Math.round(100 * x) + ' of 100';
}

export async function predict(tool, house, params) {
	return ask('/v1/predict', { tool, house, params: params || {} });
}

// At most so that both ends of the scale are seen.
function bar(label, low, high, at, words) {
	const e = h('div.range', { role: 'img', 'aria-label': `${label}: ${words}` }, h('i.span'), h('i.mark'));
	e.children[0].style.left = low + '%';
	e.children[0].style.width = Math.max(1, high - low) + '%';
	if (at === null) e.children[1].remove();
	else e.children[1].style.left = Math.min(99, Math.max(0, at)) + '%';
	return e;
}

export function forecast(p, t, before) {
	if (!p.of_tool) return [h('p.empty', { text: 'Nothing like it was seen yet, so nothing is said.' })];
	const parts = [h('p', {}, h('b', { text: share(p.success) }), ` like it succeed (${share(p.low)} to ${share(p.high)}), by ${p.of_tool} attempt${p.of_tool === 1 ? '' : 's'} of ${p.tool} that were seen.`),
		bar('Success', 100 * p.low, 100 * p.high, 100 * p.success, `${share(p.success)}, between ${share(p.low)} and ${share(p.high)}`)];
	if (p.fails_by && p.success < 0.995) parts.push(h('p.note', { text: `If it fails, most likely by ${p.fails_by}.` }));
	if (p.p95_ms !== undefined) {
		const run = t?.run_ms, top = Math.max(p.p95_ms, run || 0) * 1.15 || 1;
		parts.push(h('p', {}, h('b', { text: span(p.median_ms) }), ` is the usual time; 19 of 20 take at most ${span(p.p95_ms)}.`),
			bar('Time', 100 * p.median_ms / top, 100 * p.p95_ms / top, run === undefined ? null : 100 * run / top,
				`usually ${span(p.median_ms)}, at most ${span(p.p95_ms)}${run === undefined ? '' : `; it took ${span(run)}`}`));
	}
	if (t && TERMINAL.has(t.state)) {
		const ok = t.state === 'succeeded', likely = ok ? p.success : 1 - p.success;
		parts.push(h('p.verdict', {}, 'It came: ', chip(t.state), t.run_ms === undefined ? '' : ` in ${span(t.run_ms)}`,
			!before ? '' : likely >= 0.5 ? ', as was to be expected' : ', which was the less likely', t.run_ms > p.p95_ms ? '; it took longer than expected.' : '.'));
		parts.push(h('p.note', { text: before ? 'Said before it ended.' : 'By what is known now, this task included.' }));
	}
	return parts;
}

// ---- the view ----

export function taskView(main, id, go) {
	let t = null, said = null, before = false, busy = false, again = false, timer = 0, refusedStop = false;
	const title = h('h1'), sub = h('p.mono.id', { text: id }), mark = h('span.chip'), stop = h('button.danger', { type: 'button', text: 'Cancel task', hidden: true });
	const note = h('p.error', { hidden: true, role: 'alert' }), line = h('div'), out = h('div'), who = h('div'), params = h('div'), expect = h('div');
	const live = h('pre.live', { tabindex: 0, role: 'log', 'aria-label': 'Live output', hidden: true });
	const meter = h('progress', { max: 100, 'aria-label': 'Progress', hidden: true }), word = h('p.note', { hidden: true });
	const section = (name, ...c) => h('section.panel', {}, h('h2', { text: name }), ...c);
	watch(id);
	main.append(h('a.back', { href: '#/tasks', text: '← Tasks' }), h('div.title', {}, title, mark, stop), sub, note,
		h('div.columns', {}, h('div', {}, section('Output', meter, word, live, out), section('Parameters', params)),
			h('div', {}, section('Timeline', line), section('Prediction and outcome', expect), section('Provenance', who,
				h('h3', { text: 'Its records in the audit chain' }), command('uni-wizard audit show ' + id)))));

	function draw() {
		const open = !TERMINAL.has(t.state);
		text(title, t.tool);
		document.title = `${t.tool} ${stateName(t.state)} · Uni-Wizard`;
		mark.className = 'chip ' + tone(t.state);
		text(mark, t.cancelling ? 'stopping' : stateName(t.state));
		stop.hidden = !open || t.cancelling;
		line.replaceChildren(timeline(t));
		out.replaceChildren(...result(t));
		who.replaceChildren(facts(t));
		params.replaceChildren(block('As given', pretty(t.task?.params || {})));
		if (said) expect.replaceChildren(...forecast(said, t, before));
		drawLive();
	}

	function drawLive() {
		const open = t && !TERMINAL.has(t.state), follows = live.scrollTop + live.clientHeight >= live.scrollHeight - 8;
		live.hidden = !watched.output;
		if (live.textContent.length !== watched.output.length || !live.textContent.endsWith(watched.output.slice(-64))) {
			live.textContent = watched.output;
			if (follows) live.scrollTop = live.scrollHeight;
		}
		meter.hidden = !open || watched.percent === null;
		if (watched.percent !== null) attr(meter, 'value', watched.percent);
		text(word, [watched.note, watched.cut ? `Earlier output was missed: uni-wizard logs ${id}` : ''].filter(Boolean).join(' · '));
		word.hidden = !word.textContent || (!open && !watched.cut);
	}

	// Its end was heard, and the agent, which follows the owner, does not tell it yet. At first it may have been told before.
	function withEnd(told) {
		const e = watched.trail.findLast((x) => x.type === 'outcome');
		if (TERMINAL.has(told.state)) return told;
		if (!t || e || TERMINAL.has(tasks.get(id)?.state)) setTimeout(load, SETTLED_MS);
		if (!e || e.attempt < told.attempt) return told;
		return { ...told, state: e.state, attempt: e.attempt, run_ms: e.run_ms, result: e.result, error: e.error, notes: e.notes, finished: e.time,
			history: e.history || told.history };
	}

	async function load() {
		if (!title.isConnected) return;
		if (busy) {
			again = true;
			return;
		}
		busy = true;
		try {
			t = withEnd(await ask('/v1/tasks/' + encodeURIComponent(id)));
			if (!refusedStop) note.hidden = true;
			draw();
			if (!said) {
				said = await predict(t.tool, t.house, t.task?.params);
				before = !TERMINAL.has(t.state);
				expect.replaceChildren(...forecast(said, t, before));
			}
		} catch (e) {
			note.hidden = false;
			text(note, t ? e.message : e.status === 404 ? `This agent (${cluster.agent}) does not know the task: it may belong to a house that it does not follow, or be forgotten.` : e.message);
			if (!t) text(title, 'Task');
		}
		busy = false;
		if (again) {
			again = false;
			load();
		}
	}

	stop.addEventListener('click', async () => {
		if (!confirm(`Cancel ${t.tool} ${id}?`)) return;
		try {
			await ask(`/v1/tasks/${id}/cancel`, null);
		} catch (e) {
			refusedStop = true;
			note.hidden = false;
			text(note, 'Not cancelled: ' + e.message);
		}
	});
	main.addEventListener('keydown', (e) => e.key === 'Escape' && main.contains(title) && go('#/tasks'));
	load();
	let heard = 0;
	return (what) => {
		if (!title.isConnected) return;
		if (what.has('fresh')) load();
		if (!what.has('task')) return;
		drawLive();
		const n = watched.trail.length ? watched.trail[watched.trail.length - 1].seq + watched.trail.length : 0;
		if (n !== heard) {
			heard = n;
			timer ||= setTimeout(() => {
				timer = 0;
				load();
			}, 30);
		}
	};
}


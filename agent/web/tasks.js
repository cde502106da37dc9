// tasks.js - the tasks, newest first: only the rows that are seen are elements, however many there are.

import { ROWS_MAX, changed, cluster, loadTasks, tasks } from './cluster.js';
import { BAD, TERMINAL, attr, clock, full, h, span, stateName, text, tone } from './dom.js';

const SPARE = 6;                        // rows above and below what is seen
const NARROW = matchMedia('(max-width: 720px)');
const STATES = ['queued', 'scheduled', 'starting', 'running', 'retrying', 'waiting_approval', 'forwarded', 'succeeded', 'failed', 'dead',
	'uncertain', 'denied', 'cancelled', 'expired'];
const COLUMNS = ['State', 'Tool', 'House', 'Sender', 'Accepted', 'Took'];

// ---- what is shown ----

function fits(f) {
	const words = f.q.toLowerCase().split(/\s+/).filter(Boolean);
	const state = f.state === 'open' ? (r) => !TERMINAL.has(r.state) : f.state === 'bad' ? (r) => BAD.has(r.state) :
		f.state ? (r) => r.state === f.state : () => true;
	const said = (r) => `${r.tool} ${r.sender} ${r.house} ${r.id} ${r.error?.message || ''}`.toLowerCase();
	return (r) => {
		if (!state(r) || (f.house && r.house !== f.house)) return false;
		const all = words.length ? said(r) : '';
		return words.every((w) => all.includes(w));
	};
}

function newest(a, b) {
	return a.accepted === b.accepted ? (a.id < b.id ? 1 : -1) : a.accepted < b.accepted ? 1 : -1;
}

function took(r) {
	if (r.finished) return span(new Date(r.finished) - new Date(r.accepted));
	return r.percent !== undefined && r.state === 'running' ? r.percent + ' %' : '';
}

// ---- a row ----

function newRow() {
	const cells = COLUMNS.map((n) => h('span.cell.' + n.toLowerCase(), { role: 'gridcell' }));
	cells[0].append(h('span.chip'));
	return h('div.row', { role: 'row' }, ...cells);
}

function drawRow(e, r, i, active) {
	const c = e.children, mark = c[0].firstChild;
	if (e.dataset.id !== r.id) {
		e.dataset.id = r.id;
		e.id = 'row-' + r.id;
		c[4].title = full(r.accepted);
		text(c[4], clock(r.accepted));
	}
	attr(e, 'aria-rowindex', i + 2);
	attr(e, 'aria-selected', active);
	attr(mark, 'class', 'chip ' + tone(r.state));
	text(mark, r.cancelling ? 'stopping' : stateName(r.state));
	text(c[1], r.tool);
	text(c[2], r.house);
	text(c[3], r.sender);
	text(c[5], took(r));
}

// ---- the list ----

export function tasksView(main, query, go) {
	const f = { q: query.get('q') || '', state: query.get('state') || '', house: query.get('house') || '' };
	let shown = [], active = '', next = null, loading = false, failed = '', turn = 0, fit = fits(f), inList = new Set();

	const q = h('input', { type: 'search', placeholder: 'Tool, sender, id, error', value: f.q, 'aria-label': 'Search tasks' });
	const option = (value, label, chosen) => h('option', { value, text: label, selected: value === chosen });
	const state = h('select', { 'aria-label': 'State' }, option('', 'All states', f.state), option('open', 'Open', f.state),
		option('bad', 'Ended badly', f.state), ...STATES.map((s) => option(s, stateName(s), f.state)));
	const house = h('select', { 'aria-label': 'House' }, option('', 'All houses', f.house),
		...[...cluster.houses.keys()].filter((x) => x !== '_').map((x) => option(x, x, f.house)));
	const count = h('span.count', { role: 'status' });
	const sizer = h('div.sizer', { role: 'rowgroup' });
	const head = h('div.row.head', { role: 'row', 'aria-rowindex': 1 }, ...COLUMNS.map((n) => h('span.cell.' + n.toLowerCase(), { role: 'columnheader', text: n })));
	const list = h('div.list', { role: 'grid', tabindex: 0, 'aria-label': 'Tasks, newest first', 'aria-colcount': COLUMNS.length },
		h('div', { role: 'rowgroup', class: 'heads' }, head), sizer);
	const empty = h('p.empty', { hidden: true });
	main.append(h('h1.sr', { text: 'Tasks' }), h('form.filters', { role: 'search', onsubmit: (e) => e.preventDefault() }, q, state, house, count), list, empty);

	const height = () => (NARROW.matches ? 62 : 40);

	function draw() {
		const rh = height(), top = Math.max(0, Math.floor(list.scrollTop / rh) - SPARE);
		const n = Math.min(shown.length - top, Math.ceil(list.clientHeight / rh) + 2 * SPARE);
		const rows = shown.slice(top, top + Math.max(0, n)), ids = new Set(rows.map((r) => r.id)), kept = new Map(), free = [];
		for (const e of [...sizer.children]) {
			if (ids.has(e.dataset.id)) kept.set(e.dataset.id, e);
			else free.push(e);
		}
		// Where all are others, as in a wide leap, each takes another's place; otherwise those that stay are not moved.
		if (kept.size) for (const e of free) e.remove();
		let at = sizer.firstChild;
		rows.forEach((r, i) => {
			const e = kept.get(r.id) || free.shift() || newRow();
			if (e === at) at = at.nextSibling;
			else sizer.insertBefore(e, at);
			const y = `translateY(${(top + i) * rh}px)`;
			if (e.style.transform !== y) e.style.transform = y;
			drawRow(e, r, top + i, r.id === active);
		});
		for (const e of free) e.remove();
		list.setAttribute('aria-rowcount', shown.length + 1);
		const there = active && document.getElementById('row-' + active);
		if (there) list.setAttribute('aria-activedescendant', there.id);
		else list.removeAttribute('aria-activedescendant');
		more();
	}

	// One row, where it belongs. Most are new, and so near the top.
	function place(r) {
		if (!fit(r)) {
			if (inList.delete(r)) shown.splice(shown.indexOf(r), 1);
		} else if (!inList.has(r)) {
			let i = 0;
			while (i < shown.length && newest(shown[i], r) < 0) i++;
			shown.splice(i, 0, r);
			inList.add(r);
		}
	}

	// Anew, or only what has changed. Who has scrolled down stays where he is while new ones come.
	function choose(some) {
		const rh = height(), at = Math.floor(list.scrollTop / rh), anchor = at > 0 ? shown[at] : null;
		if (some && some.size < 100) {
			some.forEach(place);
		} else {
			fit = fits(f);
			shown = [...tasks.values()].filter(fit).sort(newest);
			inList = new Set(shown);
		}
		const now = anchor ? shown.indexOf(anchor) : -1;
		sizer.style.height = shown.length * rh + 'px';
		if (now >= 0 && now !== at) list.scrollTop += (now - at) * rh;
		text(count, `${shown.length.toLocaleString()}${next === 0 ? '' : '+'} task${shown.length === 1 ? '' : 's'}`);
		empty.hidden = shown.length > 0 || loading;
		text(empty, failed || (f.q || f.state || f.house ? 'No task is like this.' : 'No task yet. `uni-wizard submit noop --wait` gives one.'));
		draw();
	}

	// Older ones, when their place comes near; what the agent can filter it filters.
	async function more() {
		const near = list.scrollTop + list.clientHeight * 3 > shown.length * height();
		if (loading || next === 0 || failed || !near || shown.length >= ROWS_MAX) return;
		const mine = turn;
		loading = true;
		try {
			const n = await loadTasks({ house: f.house, state: STATES.includes(f.state) ? f.state : '' }, next || 0);
			if (mine === turn) next = n;
		} catch (e) {
			failed = 'The list could not be read: ' + e.message;
		}
		loading = false;
		choose();
	}

	function anew() {
		Object.assign(f, { q: q.value.trim(), state: state.value, house: house.value });
		const p = new URLSearchParams(Object.entries(f).filter(([, v]) => v));
		history.replaceState(null, '', '#/tasks' + (p.size ? '?' + p : ''));
		turn++;
		next = null;
		failed = '';
		list.scrollTop = 0;
		choose();
	}

	function move(to) {
		const i = Math.max(0, Math.min(shown.length - 1, to)), rh = height(), heads = head.offsetHeight;
		if (!shown.length) return;
		active = shown[i].id;
		if (i * rh < list.scrollTop) list.scrollTop = i * rh;
		else if ((i + 1) * rh > list.scrollTop + list.clientHeight - heads) list.scrollTop = (i + 1) * rh - list.clientHeight + heads;
		draw();
	}

	list.addEventListener('keydown', (e) => {
		const i = shown.findIndex((r) => r.id === active), page = Math.max(1, Math.floor(list.clientHeight / height()) - 2);
		const to = { ArrowDown: i + 1, ArrowUp: i - 1, PageDown: i + page, PageUp: i - page, Home: 0, End: shown.length - 1 }[e.key];
		if (to !== undefined) move(to);
		else if (e.key === 'Enter' && i >= 0) go('#/task/' + active);
		else return;
		e.preventDefault();
	});
	list.addEventListener('focus', () => !active && shown.length && move(Math.floor(list.scrollTop / height())));
	let frame = 0;
	list.addEventListener('scroll', () => {
		frame ||= requestAnimationFrame(() => {
			frame = 0;
			draw();
		});
	}, { passive: true });
	sizer.addEventListener('click', (e) => {
		const row = e.target.closest('.row');
		if (row && !String(getSelection())) go('#/task/' + row.dataset.id);
	});
	let wait = 0;
	q.addEventListener('input', () => {
		clearTimeout(wait);
		wait = setTimeout(anew, 120);
	});
	state.addEventListener('change', anew);
	house.addEventListener('change', anew);
	const resized = new ResizeObserver(draw);
	resized.observe(list);

	choose();
	let last = 0, cost = 0, pending = 0, all = false;
	const waiting = new Set();
	function timed() {
		const begun = performance.now();
		clearTimeout(pending);
		pending = 0;
		choose(all ? null : waiting);
		waiting.clear();
		all = false;
		last = performance.now();
		cost = last - begun;
	}
	return (what) => {
		if (!list.isConnected) {
			resized.disconnect();
			return;
		}
		if (what.has('fresh')) {
			for (const x of cluster.houses.keys())
				if (x !== '_' && ![...house.options].some((o) => o.value === x)) house.append(option(x, x, f.house));
			anew();
		} else if (what.has('tasks')) {
			// At once; but where that takes long, it leaves twice as long for the rest.
			const due = last + 2 * cost - performance.now();
			for (const r of changed) waiting.add(r);
			all ||= what.has('all');
			if (due <= 0) timed();
			else pending ||= setTimeout(() => list.isConnected && timed(), due);
		}
	};
}

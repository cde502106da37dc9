// dom.js - elements, and how times and sizes are written.

// h('a.name', {href, onclick, text}, children...): an element. null among the children is left out.
export function h(spec, props = {}, ...children) {
	const [tag, ...classes] = spec.split('.');
	const e = document.createElement(tag);
	if (classes.length) e.className = classes.join(' ');
	for (const [k, v] of Object.entries(props)) {
		if (v === null || v === undefined || v === false) continue;
		if (k === 'text') e.textContent = v;
		else if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
		else e.setAttribute(k, v === true ? '' : v);
	}
	e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
	return e;
}

export function svg(tag, props = {}, ...children) {
	const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [k, v] of Object.entries(props)) e.setAttribute(k, v);
	e.append(...children);
	return e;
}

// Only what differs is written, so that nothing flickers and no reader speaks twice.
export function text(e, s) {
	if (e.textContent !== String(s)) e.textContent = s;
}

export function attr(e, name, v) {
	if (e.getAttribute(name) !== String(v)) e.setAttribute(name, v);
}

// The children of parent become one element for each item, in order; those with a known key are kept.
export function keyed(parent, items, key, create, update) {
	const old = new Map([...parent.children].map((e) => [e.dataset.key, e]));
	let at = parent.firstElementChild;
	for (const item of items) {
		const k = String(key(item));
		let e = old.get(k);
		if (!e) {
			e = create(item);
			e.dataset.key = k;
		}
		old.delete(k);
		if (update) update(e, item);
		if (e === at) at = at.nextElementSibling;
		else parent.insertBefore(e, at);
	}
	for (const e of old.values()) e.remove();
}

// ---- words ----

export const TERMINAL = new Set(['succeeded', 'failed', 'dead', 'cancelled', 'expired', 'denied']);
export const BAD = new Set(['failed', 'dead', 'denied', 'expired', 'uncertain']);

export function stateName(s) {
	return (s || '').replace('_', ' ');
}

export function sentence(s) {
	return s.charAt(0).toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? '' : '.');
}

export function tone(state) {
	if (state === 'succeeded') return 'good';
	if (BAD.has(state)) return 'bad';
	if (state === 'running' || state === 'starting') return 'busy';
	if (state === 'waiting_approval' || state === 'retrying') return 'warn';
	return 'calm';
}

export function chip(state, cancelling) {
	return h('span.chip.' + tone(state), { text: cancelling ? 'stopping' : stateName(state) });
}

export function clock(t) {
	const d = new Date(t);
	return isNaN(d) ? '' : d.toLocaleTimeString([], { hour12: false });
}

export function full(t) {
	const d = new Date(t);
	return isNaN(d) ? '' : d.toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
}

export function span(ms) {
	if (ms === null || ms === undefined || isNaN(ms)) return '–';
	if (ms < 1) return '<1 ms';
	if (ms < 1000) return Math.round(ms) + ' ms';
	if (ms < 60000) return (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + ' s';
	if (ms < 3600000) return Math.floor(ms / 60000) + ' min';
	if (ms < 86400000) return Math.floor(ms / 3600000) + ' h';
	return Math.floor(ms / 86400000) + ' d';
}

export function ago(t) {
	const ms = Date.now() - new Date(t);
	return ms < 2000 ? 'just now' : span(ms) + ' ago';
}

export function when(t) {
	return h('time', { datetime: new Date(t).toISOString(), title: full(t), text: clock(t) });
}

// ---- a text to be copied ----

export function command(line) {
	const b = h('button.quiet', { type: 'button', text: 'Copy', 'aria-label': 'Copy the command ' + line });
	b.addEventListener('click', async () => {
		try {
			await navigator.clipboard.writeText(line);
			text(b, 'Copied');
		} catch {
			getSelection().selectAllChildren(b.previousElementSibling);
			text(b, 'Selected');
		}
		setTimeout(() => text(b, 'Copy'), 2000);
	});
	return h('div.command', {}, h('code', { text: line, tabindex: 0 }), b);
}

// ---- a small chart ----

// Numbers, oldest first; null where nothing is known. Written anew with draw().
export function spark(label) {
	const line = svg('path', { class: 'spark-line' }), area = svg('path', { class: 'spark-area' });
	const e = svg('svg', { class: 'spark', viewBox: '0 0 240 48', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
		area, line);
	e.draw = (values, said) => {
		const top = Math.max(1, ...values.map((v) => v ?? 0)), step = 240 / (values.length - 1);
		let d = '', from = null, last = 0;
		values.forEach((v, i) => {
			if (v === null) return;
			last = i * step;
			from ??= last;
			d += (d ? 'L' : 'M') + last.toFixed(1) + ' ' + (45 - 41 * v / top).toFixed(1);
		});
		line.setAttribute('d', d);
		area.setAttribute('d', d && d + `L${last.toFixed(1)} 48L${from.toFixed(1)} 48Z`);
		attr(e, 'aria-label', label + ': ' + said);
	};
	return e;
}

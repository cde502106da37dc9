// app.js - which view is shown, whether what it shows is true, and the token.

import { Refused, ask, token } from './api.js';
import { alerts, approvals, cluster, end, link, listen, start } from './cluster.js';
import { clock, h, text } from './dom.js';
import { alertsView, isLoud } from './alerts.js';
import { approvalsView } from './approvals.js';
import { forgetSigner, useSigner } from './signer.js';
import { overview } from './overview.js';
import { taskView } from './task.js';
import { tasksView } from './tasks.js';

const THEME = 'uni-wizard-theme';
const main = document.querySelector('main'), top = document.querySelector('.top'), banner = document.querySelector('.banner');
const told = document.querySelector('.told'), pill = document.querySelector('.link');
let draw = null;

// ---- views ----

function go(hash) {
	location.hash = hash;
}

const views = [
	[/^#\/tasks(?:\?(.*))?$/, 'tasks', 'Tasks', (m) => tasksView(main, new URLSearchParams(m[1] || ''), go)],
	[/^#\/task\/([0-9A-Z]{26})$/, 'tasks', 'Task', (m) => taskView(main, m[1], go)],
	[/^#\/approvals$/, 'approvals', 'Approvals', () => approvalsView(main)],
	[/^#\/alerts(?:\/([a-z-]+))?$/, 'alerts', 'Alerts', (m) => alertsView(main, m[1])],
	[/^/, 'overview', 'Overview', () => overview(main)],
];

function show(first) {
	for (const [pattern, name, title, view] of views) {
		const m = pattern.exec(location.hash);
		if (!m) continue;
		main.replaceChildren();
		main.dataset.view = name;
		document.title = `${title} · Uni-Wizard`;
		for (const a of document.querySelectorAll('nav a')) {
			if (a.dataset.view === name) a.setAttribute('aria-current', 'page');
			else a.removeAttribute('aria-current');
		}
		draw = view(m);
		scrollTo(0, 0);
		if (first !== true) main.focus({ preventScroll: true });
		return;
	}
}

// ---- whether it is true ----

const WORDS = { connecting: 'Connecting', live: 'Live', stale: 'Stale', lost: 'Disconnected', refused: 'Refused' };

function drawLink() {
	const since = link.fresh ? `What you see is as of ${clock(link.fresh)}.` : '';
	pill.dataset.state = link.state;
	text(pill.querySelector('.link-text'), WORDS[link.state]);
	document.body.dataset.link = link.state;
	banner.hidden = link.state === 'live' || link.state === 'connecting';
	text(banner, link.state === 'stale' ? `Stale: agent ${cluster.agent} tells nothing: ${link.why}. ${since}` :
		link.state === 'lost' ? `Disconnected: ${link.why}. Trying again. ${since}` : '');
	if (link.state === 'refused') signOut(link.why);
}

// How many there are of what waits for a person, at its view's name; more of them are said aloud.
function counter(view, say) {
	const badge = document.querySelector(`nav a[data-view=${view}] .badge`);
	let before = 0;
	return (n, bad) => {
		badge.hidden = !n;
		badge.classList.toggle('bad', !!bad);
		text(badge, n);
		if (n > before) text(told, say(n));
		before = n;
	};
}

const countApprovals = counter('approvals', (n) => `${n} ${n === 1 ? 'task waits' : 'tasks wait'} for approval`);
const countAlerts = counter('alerts', (n) => `${n} ${n === 1 ? 'alert is' : 'alerts are'} raised`);

function drawAlertBadge() {
	const loud = alerts.list.filter(isLoud);
	countAlerts(loud.length, loud.some((x) => x.severity === 'critical'));
}

// ---- the token ----

function login(message) {
	const field = h('input', { type: 'password', id: 'token', autocomplete: 'off', required: true, spellcheck: 'false', 'aria-describedby': 'token-help' });
	const wrong = h('p.error', { role: 'alert', hidden: !message, text: message || '' }), enter = h('button.main', { type: 'submit', text: 'Sign in' });
	top.hidden = true;
	banner.hidden = true;
	draw = null;
	document.title = 'Sign in · Uni-Wizard';
	main.dataset.view = 'login';
	main.replaceChildren(h('form.login', { onsubmit: async (e) => {
		e.preventDefault();
		enter.disabled = true;
		token.set(field.value.trim());
		try {
			await ask('/v1/cluster');
			enterAll();
		} catch (x) {
			token.clear();
			wrong.hidden = false;
			text(wrong, x instanceof Refused && x.status === 401 ? 'This is not the token of the agent’s house.' : x instanceof Refused ? x.message : 'The agent does not answer.');
			enter.disabled = false;
			field.select();
		}
	} }, h('img', { src: '/web/icon.svg', alt: '', width: 56, height: 56 }), h('h1', { text: 'Uni-Wizard' }), h('label', { for: 'token', text: 'Token' }), field,
	h('p.note', { id: 'token-help', text: 'The auth_token of this agent’s house in houses.yaml. It stays in this tab until you close it.' }), wrong, enter));
	field.focus();
}

function signOut(message) {
	token.clear();
	forgetSigner();
	end();
	login(typeof message === 'string' ? message : '');
}

function enterAll() {
	top.hidden = false;
	start();
	show(true);
	main.focus({ preventScroll: true });
}

// ---- light and dark ----

const themes = { '': 'Auto', light: 'Light', dark: 'Dark' }, theme = document.querySelector('.theme');

function setTheme(name) {
	document.documentElement.dataset.theme = name;
	localStorage.setItem(THEME, name);
	text(theme, themes[name]);
	theme.setAttribute('aria-label', `Colours: ${themes[name]}. Change.`);
}

theme.addEventListener('click', () => {
	const names = Object.keys(themes);
	setTheme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
});
const kept = localStorage.getItem(THEME);
setTheme(kept in themes ? kept : '');

document.querySelector('.out').addEventListener('click', signOut);
document.querySelector('.skip').addEventListener('click', (e) => {
	e.preventDefault();
	main.focus();
});
addEventListener('hashchange', () => {
	if (takeLink() && token.get()) enterAll();
	else if (token.get()) show();
});
listen((what) => {
	if (!token.get()) return;
	drawLink();
	if (what.has('approvals')) countApprovals(approvals.count);
	if (what.has('alerts')) drawAlertBadge();
	if (token.get()) draw?.(what);
});
// `uni-wizard dashboard` prints such a link. Neither part stays in the address.
function takeLink() {
	const m = /^#(?=token=|signer=)(.+)$/.exec(location.hash), parts = new URLSearchParams(m ? m[1] : '');
	if (!m) return false;
	if (parts.get('token')) token.set(parts.get('token'));
	history.replaceState(null, '', location.pathname + (parts.get('signer') ? '#/approvals' : ''));
	useSigner(parts.get('signer'));
	return true;
}

if (!takeLink()) useSigner();
if (token.get()) enterAll();
else login();

// A double of Gitea for tests: the part of its API (v1) that we use, with state, paging, permissions, webhooks, and faults on
// demand. It is not Gitea: what it does follows the documentation and source of 1.26 as far as we read them, and no real one
// has been asked. That its answers have the published shape is checked by a proxy that knows the contract (contract.sh).
//
//   node gitea.mjs [--port N] [--control N] [--root-url URL] [--state FILE] [--record FILE] [--tls FILE]
//
// Prints "gitea: api PORT control PORT" once it listens, on 127.0.0.1. --state: read at the start, if it is there, and written
// at SIGTERM. --record: each request with its body, a line of JSON. --tls: a PEM
// file of certificate and key, for HTTPS. The control port speaks JSON:
//
//   POST /users {login, token, scopes?, orgs?}       scopes: ["read:user","write:issue","write:repository"]; not given: all of these
//   POST /repos {full_name, org?, private?, archived?, writers?, branches?: {name: sha}, files?: {branch: [changed files]}, git?}
//                                                    git: a bare repository, whose branches are those of the repository
//   POST /faults {method?, path?, times?, chance?, status?, retry_after?, after?, delay_ms?, cut?, slow?, body?, repeat?, link?}
//        path: a regular expression; times: how often (1; 0: for ever); status: answered with that, after: true when it is done
//        all the same; cut: "before" it is read, "after" it is done, "middle" of the answer; delay_ms: done, but answered late;
//        slow: bytes a second; body: answered instead, done all the same, repeat times; link: the Link header instead
//   DELETE /faults                                   none any more, nor dropped webhooks
//   POST /away {ms}                                  nobody listens for so long
//   POST /webhooks {drop?, twice?, delay_ms?, corrupt?}    chances (0 to 1) of a delivery; corrupt: signed with another key
//   POST /settings {max_items}                       the most of a page (50)
//   GET /requests   GET /deliveries   GET /state     what came, what went, what is; DELETE /requests forgets them
import { createHmac, randomUUID, createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const options = Object.fromEntries(process.argv.slice(2).join('\n').split('--').filter(Boolean).map(o => o.trim().split('\n')));
const ROOT = (options['root-url'] || 'http://root-url.invalid/gitea/').replace(/\/*$/, '/');
const SCOPES = ['read:user', 'write:issue', 'write:repository'];

let state = { ids: 100, users: {}, repos: {}, max_items: 50 };
if (options.state)
	try {
		state = JSON.parse(readFileSync(options.state));
	} catch (e) {
		if (e.code !== 'ENOENT')
			throw e;
	}
let faults = [], requests = [], deliveries = [], webhooks = {};

// What an operation may end with instead of its answer.
class Refusal extends Error {
	constructor(status, message, more = {}) {
		super(message);
		this.status = status;
		this.body = { message, url: ROOT + 'api/swagger', ...more };
	}
}
const notFound = why => new Refusal(404, 'The target couldn\'t be found.', { errors: why ? [why] : [] });
const nextId = () => ++state.ids;
// As a server in Berlin writes them: whole seconds, its own zone.
const stamp = (ms = Date.now()) => new Date(ms + 7200000).toISOString().replace(/\.\d+Z/, '+02:00');
const seconds = text => Math.floor(Date.parse(text) / 1000);
const check = (right, field, rule) => {
	if (!right)
		throw new Refusal(422, `[${field}]: ${rule}`);
};
const isText = v => typeof v === 'string';

// Objects as they are shown

const showUser = login => login && {
	id: state.users[login]?.id ?? 1, login, login_name: '', source_id: 0, full_name: '', email: `${login}@noreply.invalid`,
	avatar_url: ROOT + 'avatars/x', html_url: ROOT + login, language: '', is_admin: false, last_login: stamp(0),
	created: stamp(0), restricted: false, active: false, prohibit_login: false, location: '', website: '', description: '',
	visibility: 'public', followers_count: 0, following_count: 0, starred_repos_count: 0,
};
const showLabel = (l, r) => ({ id: l.id, name: l.name, exclusive: l.exclusive, is_archived: false, color: l.color,
	description: l.description, url: `${ROOT}api/v1/repos/${r.full_name}/labels/${l.id}` });
const showRepo = r => ({ id: r.id, name: r.name, full_name: r.full_name, owner: showUser(r.owner), private: r.private,
	archived: r.archived, html_url: ROOT + r.full_name, clone_url: `${ROOT}${r.full_name}.git`, default_branch: 'main',
	permissions: { admin: false, push: true, pull: true } });
const showIssue = (i, r) => ({
	id: i.id, url: `${ROOT}api/v1/repos/${r.full_name}/issues/${i.number}`,
	html_url: `${ROOT}${r.full_name}/${i.pull ? 'pulls' : 'issues'}/${i.number}`, number: i.number, user: showUser(i.user),
	original_author: '', original_author_id: 0, title: i.title, body: i.body, ref: '', assets: [],
	labels: i.labels.map(id => showLabel(labelOf(r, id), r)), milestone: null,
	assignee: i.assignees.length ? showUser(i.assignees[0]) : null,
	assignees: i.assignees.length ? i.assignees.map(showUser) : null, state: i.state, is_locked: false,
	comments: i.comments.length, created_at: i.created_at, updated_at: i.updated_at, closed_at: i.closed_at, due_date: null,
	time_estimate: 0, pin_order: 0, content_version: 0,
	pull_request: i.pull ? { merged: i.pull.merged, merged_at: i.pull.merged_at, draft: /^(\[?WIP[\]:])/i.test(i.title),
		html_url: `${ROOT}${r.full_name}/pulls/${i.number}` } : null,
	repository: { id: r.id, name: r.name, owner: r.owner, full_name: r.full_name },
});
const showComment = (c, i, r) => ({ id: c.id, html_url: `${ROOT}${r.full_name}/issues/${i.number}#issuecomment-${c.id}`,
	pull_request_url: i.pull ? `${ROOT}${r.full_name}/pulls/${i.number}` : '',
	issue_url: i.pull ? '' : `${ROOT}${r.full_name}/issues/${i.number}`, user: showUser(c.user), original_author: '',
	original_author_id: 0, body: c.body, assets: [], created_at: c.created_at, updated_at: c.updated_at });
const showPull = (i, r) => ({ ...showIssue(i, r), pull_request: undefined, repository: undefined,
	labels: i.labels.length ? i.labels.map(id => showLabel(labelOf(r, id), r)) : null, draft: /^(\[?WIP[\]:])/i.test(i.title),
	mergeable: i.state === 'open', merged: i.pull.merged, merged_at: i.pull.merged_at, merge_commit_sha: i.pull.merge_sha,
	merged_by: i.pull.merged ? showUser(i.user) : null, merge_base: i.pull.base_sha, review_comments: 0, additions: 1,
	deletions: 0, changed_files: 1, diff_url: `${ROOT}${r.full_name}/pulls/${i.number}.diff`,
	patch_url: `${ROOT}${r.full_name}/pulls/${i.number}.patch`, requested_reviewers: null,
	base: { label: i.pull.base, ref: i.pull.base, sha: i.pull.base_sha, repo_id: r.id, repo: showRepo(r) },
	head: { label: i.pull.head, ref: i.pull.head, sha: branches(r)[i.pull.head] ?? i.pull.head_sha, repo_id: r.id, repo: showRepo(r) } });
const showStatus = (s, r) => ({ id: s.id, status: s.state, target_url: s.target_url, description: s.description,
	url: `${ROOT}api/v1/repos/${r.full_name}/statuses/${s.sha}`, context: s.context, creator: showUser(s.user),
	created_at: s.created_at, updated_at: s.created_at });
const showReview = v => ({ id: v.id, user: showUser(v.user), team: null, state: v.state, body: v.body, commit_id: v.commit,
	stale: false, official: true, dismissed: false, comments_count: 0, submitted_at: v.at, updated_at: v.at,
	html_url: ROOT, pull_request_url: ROOT });
const showHook = h => ({ id: h.id, type: 'gitea', branch_filter: '*', config: { url: h.url, content_type: 'json' },
	events: h.events, authorization_header: '', active: h.active, created_at: h.at, updated_at: h.at });

function branches(r) {
	if (!r.git)
		return r.branches;
	const text = execFileSync('git', ['-C', r.git, 'for-each-ref', '--format=%(refname:short) %(objectname)', 'refs/heads'], { encoding: 'utf8' });
	return Object.fromEntries(text.split('\n').filter(Boolean).map(l => l.split(' ')));
}

// Repositories, issues and labels

const labelOf = (r, id) => r.labels.find(l => l.id === id) || r.org_labels?.find(l => l.id === id);
const mayWrite = (r, user) => r.owner === user || r.writers.includes(user);
function issueOf(r, n) {
	const i = r.issues.find(x => x.number === Number(n));
	if (!i)
		throw notFound();
	return i;
}
function pullOf(r, n) {
	const i = issueOf(r, n);
	if (!i.pull)
		throw notFound();
	return i;
}
function touch(i) {
	i.updated_at = stamp();
}
function intoRepo(c, needsWrite) {
	if (needsWrite && !mayWrite(c.repo, c.user))
		throw new Refusal(403, 'user should have permission to write');
}
function open(c) {
	if (c.repo.archived)
		throw new Refusal(423, `${c.repo.full_name} is archived`);
}

// A page of what there is, and where the others are.
function paged(c, all, show) {
	const page = Math.max(1, Number(c.query.get('page') || 1));
	const limit = Math.min(Number(c.query.get('limit') || 30) || 30, state.max_items);
	const last = Math.max(1, Math.ceil(all.length / limit));
	const link = (n, rel) => {
		const q = new URLSearchParams(c.query);
		q.set('page', n);
		return `<${ROOT}${c.path.slice(1)}?${q}>; rel="${rel}"`;
	};
	const links = [];
	if (page < last)
		links.push(link(page + 1, 'next'), link(last, 'last'));
	if (page > 1)
		links.push(link(1, 'first'), link(page - 1, 'prev'));
	if (links.length)
		c.headers.Link = links.join(',');
	c.headers['X-Total-Count'] = String(all.length);
	c.headers['Access-Control-Expose-Headers'] = 'Link, X-Total-Count';
	return all.slice((page - 1) * limit, page * limit).map(show);
}

function byTime(c, list) {
	const since = c.query.get('since'), before = c.query.get('before');
	for (const t of [since, before])
		if (t && Number.isNaN(Date.parse(t)))
			throw new Refusal(422, `parsing time "${t}"`);
	return list.filter(x => (!since || seconds(x.updated_at) >= seconds(since)) && (!before || seconds(x.updated_at) <= seconds(before)));
}

function listIssues(c) {
	const q = c.query, want = q.get('state') || 'open';
	let all = c.repo.issues.filter(i => want === 'all' || i.state === want);
	const names = (q.get('labels') || '').split(',').filter(Boolean);
	const ids = names.map(n => [...c.repo.labels, ...(c.repo.org_labels || [])].find(l => l.name === n)?.id).filter(Boolean);
	if (q.get('type'))
		all = all.filter(i => !!i.pull === (q.get('type') === 'pulls'));
	// Names that are not known are dropped; all of the others are needed.
	all = all.filter(i => ids.every(id => i.labels.includes(id)));
	for (const [param, has] of [['created_by', (i, u) => i.user === u], ['assigned_by', (i, u) => i.assignees.includes(u)]])
		if (q.get(param)) {
			if (!state.users[q.get(param)])
				throw notFound(`user does not exist [uid: 0, name: ${q.get(param)}]`);
			all = all.filter(i => has(i, q.get(param)));
		}
	if (q.get('q'))
		all = all.filter(i => (i.title + i.body).toLowerCase().includes(q.get('q').toLowerCase()));
	return paged(c, byTime(c, all).sort((a, b) => b.number - a.number), i => showIssue(i, c.repo));
}

function setAssignees(c, i, names) {
	for (const n of names)
		if (!state.users[n])
			throw new Refusal(422, `Assignee does not exist: [name: ${n}]`);
	if (mayWrite(c.repo, c.user))
		i.assignees = [...new Set(names)];
}

function newIssue(c, body) {
	const now = stamp(), r = c.repo;
	const i = { id: nextId(), number: r.issues.length + 1, user: c.user, title: body.title, body: body.body || '', state: 'open',
		labels: [], assignees: [], comments: [], created_at: now, updated_at: now, closed_at: null };
	if (body.assignees)
		setAssignees(c, i, body.assignees);
	if (mayWrite(r, c.user))
		i.labels = (body.labels || []).filter(id => labelOf(r, id));
	r.issues.push(i);
	return i;
}

function createIssue(c) {
	const b = c.body;
	open(c);
	check(isText(b.title) && b.title.trim(), 'Title', 'Required');
	check(b.labels === undefined || b.labels.every(Number.isInteger), 'Labels', 'Numbers');
	const i = newIssue(c, b);
	issueEvent(c, 'issues', 'opened', i);
	return showIssue(i, c.repo);
}

function editIssue(c, n) {
	const i = issueOf(c.repo, n), b = c.body, changes = {};
	intoRepo(c, i.user !== c.user);
	check(b.state === undefined || ['open', 'closed'].includes(b.state), 'State', 'In(open,closed)');
	for (const k of ['title', 'body'])
		if (isText(b[k]) && b[k] !== i[k]) {
			changes[k] = { from: i[k] };
			i[k] = b[k];
		}
	if (b.assignees) {
		setAssignees(c, i, b.assignees);
		issueEvent(c, 'issue_assign', 'assigned', i);
	}
	touch(i);
	if (Object.keys(changes).length)
		issueEvent(c, 'issues', 'edited', i, { changes });
	if (b.state && b.state !== i.state) {
		i.state = b.state;
		i.closed_at = b.state === 'closed' ? stamp() : null;
		issueEvent(c, 'issues', b.state === 'closed' ? 'closed' : 'reopened', i);
	}
	return showIssue(i, c.repo);
}

function createComment(c, n) {
	const i = issueOf(c.repo, n), now = stamp();
	open(c);
	check(isText(c.body.body) && c.body.body, 'Body', 'Required');
	const m = { id: nextId(), user: c.user, body: c.body.body, created_at: now, updated_at: now };
	i.comments.push(m);
	touch(i);
	commentEvent(c, 'created', i, m);
	return showComment(m, i, c.repo);
}

function commentOf(r, id) {
	for (const i of r.issues)
		for (const m of i.comments)
			if (m.id === Number(id))
				return [m, i];
	throw notFound();
}

function editComment(c, id) {
	const [m, i] = commentOf(c.repo, id);
	if (m.user !== c.user)
		intoRepo(c, true);
	check(isText(c.body.body) && c.body.body, 'Body', 'Required');
	m.body = c.body.body;
	m.updated_at = stamp();
	touch(i);
	commentEvent(c, 'edited', i, m);
	return showComment(m, i, c.repo);
}

function createLabel(c) {
	const b = c.body;
	intoRepo(c, true);
	check(isText(b.name) && b.name, 'Name', 'Required');
	check(/^#?[0-9a-fA-F]{6}$/.test(b.color), 'Color', 'Invalid');
	const l = { id: nextId(), name: b.name, color: b.color.replace('#', '').toLowerCase(), description: b.description || '', exclusive: !!b.exclusive };
	c.repo.labels.push(l);
	return showLabel(l, c.repo);
}

// An exclusive label takes the place of those of the same scope.
function addLabel(r, i, id) {
	const l = labelOf(r, id), scope = l.exclusive && l.name.includes('/') ? l.name.slice(0, l.name.lastIndexOf('/') + 1) : null;
	if (scope)
		i.labels = i.labels.filter(x => x === id || !(labelOf(r, x).exclusive && labelOf(r, x).name.startsWith(scope)));
	if (!i.labels.includes(id))
		i.labels.push(id);
}

function addLabels(c, n) {
	const i = issueOf(c.repo, n), want = c.body.labels || [], all = [...c.repo.labels, ...(c.repo.org_labels || [])];
	intoRepo(c, true);
	if (new Set(want.map(x => typeof x)).size > 1)
		throw new Refusal(400, 'labels should be an array of strings or integers');
	const before = String(i.labels);
	for (const w of want) {
		const l = all.find(x => x.id === w || x.name === w);
		if (l)
			addLabel(c.repo, i, l.id);
	}
	if (String(i.labels) !== before) {
		touch(i);
		issueEvent(c, 'issue_label', 'label_updated', i);
	}
	return i.labels.map(id => showLabel(labelOf(c.repo, id), c.repo));
}

function removeLabel(c, n, id) {
	const i = issueOf(c.repo, n);
	intoRepo(c, true);
	if (!labelOf(c.repo, Number(id)))
		throw new Refusal(422, `label does not exist [label_id: ${id}]`);
	if (i.labels.includes(Number(id))) {
		i.labels = i.labels.filter(x => x !== Number(id));
		touch(i);
		issueEvent(c, 'issue_label', i.labels.length ? 'label_updated' : 'label_cleared', i);
	}
}

function createPull(c) {
	const b = c.body, r = c.repo, all = branches(r), head = String(b.head).replace(/^[^:]*:/, '');
	open(c);
	for (const k of ['head', 'base', 'title'])
		check(isText(b[k]) && b[k], k[0].toUpperCase() + k.slice(1), 'Required');
	if (!all[head] || !all[b.base])
		throw notFound(`branch ${all[head] ? b.base : head} does not exist`);
	const there = r.issues.find(i => i.pull && i.state === 'open' && i.pull.head === head && i.pull.base === b.base);
	if (there)
		throw new Refusal(409, `pull request already exists for these targets [id: ${there.id}, issue_id: ${there.id}, head_repo_id: ${r.id}, base_repo_id: ${r.id}, head_branch: ${head}, base_branch: ${b.base}]`);
	if (all[head] === all[b.base])
		throw new Refusal(422, 'There are no changes between the head and the base');
	const i = newIssue(c, b);
	i.pull = { head, base: b.base, head_sha: all[head], base_sha: all[b.base], merged: false, merged_at: null, merge_sha: null, reviews: [] };
	issueEvent(c, 'pull_request', 'opened', i);
	return showPull(i, r);
}

function listPulls(c) {
	const q = c.query, want = q.get('state') || 'open';
	const sorts = { recentupdate: (a, b) => seconds(b.updated_at) - seconds(a.updated_at) || b.number - a.number, oldest: (a, b) => a.number - b.number };
	const all = c.repo.issues.filter(i => i.pull && (want === 'all' || i.state === want) &&
		(!q.get('base_branch') || i.pull.base === q.get('base_branch')) && (!q.get('poster') || i.user === q.get('poster')));
	return paged(c, all.sort(sorts[q.get('sort')] || ((a, b) => b.number - a.number)), i => showPull(i, c.repo));
}

function mergePull(c, n) {
	const i = pullOf(c.repo, n);
	intoRepo(c, true);
	if (i.state !== 'open')
		throw new Refusal(405, 'The PR is not mergeable');
	Object.assign(i.pull, { merged: true, merged_at: stamp(), merge_sha: createHash('sha1').update(randomUUID()).digest('hex') });
	i.state = 'closed';
	i.closed_at = stamp();
	touch(i);
	issueEvent(c, 'pull_request', 'closed', i);
}

function createReview(c, n) {
	const i = pullOf(c.repo, n), b = c.body;
	const v = { id: nextId(), user: c.user, state: b.event || 'PENDING', body: b.body || '', commit: i.pull.head_sha, at: stamp() };
	i.pull.reviews.push(v);
	touch(i);
	return showReview(v);
}

const STATES = ['error', 'failure', 'warning', 'pending', 'success', 'skipped'];
function createStatus(c, sha) {
	const b = c.body, r = c.repo;
	intoRepo(c, true);
	check(/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(sha), 'Sha', 'Invalid');
	check(STATES.includes(b.state), 'State', 'In(pending,success,error,failure,warning,skipped)');
	const s = { id: nextId(), sha, state: b.state, context: b.context || 'default', description: b.description || '', target_url: b.target_url || '', user: c.user, created_at: stamp() };
	r.statuses.push(s);
	deliver(r, 'status', 'status', { commit: { id: sha }, context: s.context, created_at: s.created_at, description: s.description, id: s.id,
		repository: showRepo(r), sender: showUser(c.user), sha, state: s.state, target_url: s.target_url, updated_at: null });
	return showStatus(s, r);
}

function combined(c, ref) {
	const sha = branches(c.repo)[ref] || ref, last = new Map();
	for (const s of c.repo.statuses.filter(x => x.sha === sha))
		last.set(s.context, s);
	const all = [...last.values()];
	return { state: STATES.find(s => all.some(x => x.state === s)) || '', sha, total_count: all.length,
		statuses: all.length ? all.map(s => showStatus(s, c.repo)) : null, repository: showRepo(c.repo), commit_url: ROOT, url: ROOT };
}

function createHook(c) {
	const b = c.body;
	intoRepo(c, true);
	check(b.type === 'gitea', 'Type', 'In(gitea)');
	check(b.config && Object.values(b.config).every(isText) && b.config.url && b.config.content_type === 'json', 'Config', 'url and content_type');
	const h = { id: nextId(), url: b.config.url, secret: b.config.secret || '', events: b.events?.length ? b.events : ['push'], active: b.active === true, at: stamp() };
	c.repo.hooks.push(h);
	return showHook(h);
}

function hookOf(c, id) {
	const h = c.repo.hooks.find(x => x.id === Number(id));
	if (!h)
		throw notFound();
	return h;
}

function editHook(c, id) {
	const h = hookOf(c, id), b = c.body;
	intoRepo(c, true);
	if (b.config?.url)
		h.url = b.config.url;
	if (b.config?.secret)
		h.secret = b.config.secret;
	if (b.events)
		h.events = b.events;
	if (typeof b.active === 'boolean')
		h.active = b.active;
	return showHook(h);
}

// Webhooks: one try, five seconds, no other.

const EVENT = { issue_assign: 'issues', issue_label: 'issues', pull_request_comment: 'issue_comment' };
const ONLY = { issues_only: 'issues', pull_request_only: 'pull_request' };
const wants = (h, type) => h.events.some(e => e === type || ONLY[e] === type ||
	(e === 'issues' && type.startsWith('issue_') && type !== 'issue_comment') || (e === 'pull_request' && type.startsWith('pull_request_')));

function deliver(r, event, type, payload) {
	for (const h of r.hooks.filter(x => x.active && wants(x, type)))
		setTimeout(() => {
			if (Math.random() < (webhooks.drop || 0)) {
				deliveries.push({ event, type, action: payload.action, number: payload.number, dropped: true });
				return;
			}
			const delivery = randomUUID();
			send(h, event, type, payload, delivery);
			if (Math.random() < (webhooks.twice || 0))
				send(h, event, type, payload, delivery);
		}, webhooks.delay_ms || 0);
}

function send(h, event, type, payload, delivery) {
	const body = Buffer.from(JSON.stringify(payload, null, 2));
	const key = Math.random() < (webhooks.corrupt || 0) ? `not ${h.secret}` : h.secret;
	const mac = hash => h.secret && createHmac(hash, key).update(body).digest('hex');
	const entry = { event, type, action: payload.action, number: payload.number, delivery, status: 0 };
	const req = (h.url.startsWith('https:') ? https : http).request(h.url, { method: 'POST', timeout: 5000, headers: {
		'Content-Type': 'application/json', 'Content-Length': body.length, 'User-Agent': 'Go-http-client/1.1', 'X-Gitea-Delivery': delivery,
		'X-Gitea-Event': event, 'X-Gitea-Event-Type': type, 'X-Gitea-Signature': mac('sha256'),
		'X-Gitea-Hook-Installation-Target-Type': 'repository', 'X-Gogs-Delivery': delivery, 'X-Gogs-Event': event,
		'X-Gogs-Signature': mac('sha256'), 'X-Hub-Signature': `sha1=${mac('sha1')}`, 'X-Hub-Signature-256': `sha256=${mac('sha256')}`,
		'X-GitHub-Delivery': delivery, 'X-GitHub-Event': event } }, res => {
		entry.status = res.statusCode;
		res.resume();
	});
	req.on('timeout', () => req.destroy(new Error('timeout')));
	req.on('error', e => entry.error = e.message);
	req.end(body);
	deliveries.push(entry);
}

function issueEvent(c, type, action, i, more = {}) {
	const real = i.pull ? type.replace('issues', 'pull_request').replace('issue_', 'pull_request_') : type;
	deliver(c.repo, EVENT[type] && !i.pull ? EVENT[type] : i.pull ? 'pull_request' : real, real, { action, number: i.number, ...more,
		...(i.pull ? { pull_request: showPull(i, c.repo), requested_reviewer: null, review: null } : { issue: showIssue(i, c.repo) }),
		repository: showRepo(c.repo), sender: showUser(c.user), commit_id: '' });
}

function commentEvent(c, action, i, m) {
	deliver(c.repo, 'issue_comment', i.pull ? 'pull_request_comment' : 'issue_comment', { action, issue: showIssue(i, c.repo),
		...(i.pull ? { pull_request: showPull(i, c.repo) } : {}), comment: showComment(m, i, c.repo), repository: showRepo(c.repo),
		sender: showUser(c.user), is_pull: !!i.pull });
}

// What can be asked: method, path, status when it went well, the scope it needs, and what does it.

const REPO = '/repos/([^/]+)/([^/]+)';
const routes = [
	['GET', '/version', 200, null, () => ({ version: '1.26.3' })],
	['GET', '/user', 200, 'read:user', c => showUser(c.user)],
	['GET', REPO, 200, 'read:repository', c => showRepo(c.repo)],
	['GET', REPO + '/issues', 200, 'read:issue', listIssues],
	['POST', REPO + '/issues', 201, 'write:issue', createIssue],
	['GET', REPO + '/issues/(\\d+)', 200, 'read:issue', (c, n) => showIssue(issueOf(c.repo, n), c.repo)],
	['PATCH', REPO + '/issues/(\\d+)', 201, 'write:issue', editIssue],
	['GET', REPO + '/issues/(\\d+)/comments', 200, 'read:issue', (c, n) => byTime(c, issueOf(c.repo, n).comments).map(m => showComment(m, issueOf(c.repo, n), c.repo))],
	['POST', REPO + '/issues/(\\d+)/comments', 201, 'write:issue', createComment],
	['PATCH', REPO + '/issues/comments/(\\d+)', 200, 'write:issue', editComment],
	['GET', REPO + '/issues/(\\d+)/labels', 200, 'read:issue', (c, n) => issueOf(c.repo, n).labels.map(id => showLabel(labelOf(c.repo, id), c.repo))],
	['POST', REPO + '/issues/(\\d+)/labels', 200, 'write:issue', addLabels],
	['DELETE', REPO + '/issues/(\\d+)/labels/(\\d+)', 204, 'write:issue', removeLabel],
	['GET', REPO + '/labels', 200, 'read:issue', c => paged(c, c.repo.labels, l => showLabel(l, c.repo))],
	['POST', REPO + '/labels', 201, 'write:issue', createLabel],
	['GET', REPO + '/pulls', 200, 'read:repository', listPulls],
	['POST', REPO + '/pulls', 201, 'write:repository', createPull],
	['GET', REPO + '/pulls/(\\d+)', 200, 'read:repository', (c, n) => showPull(pullOf(c.repo, n), c.repo)],
	['POST', REPO + '/pulls/(\\d+)/merge', 200, 'write:repository', mergePull],
	['GET', REPO + '/pulls/(\\d+)/files', 200, 'read:repository', (c, n) => paged(c, c.repo.files[pullOf(c.repo, n).pull.head] || ['README.md'],
		f => ({ filename: f, status: 'changed', additions: 1, deletions: 0, changes: 1, html_url: ROOT, contents_url: ROOT, raw_url: ROOT }))],
	['GET', REPO + '/pulls/(\\d+)/reviews', 200, 'read:repository', (c, n) => paged(c, pullOf(c.repo, n).pull.reviews, showReview)],
	['POST', REPO + '/pulls/(\\d+)/reviews', 200, 'write:repository', createReview],
	['GET', REPO + '/statuses/([^/]+)', 200, 'read:repository', (c, sha) => paged(c, c.repo.statuses.filter(s => s.sha === sha).reverse(), s => showStatus(s, c.repo))],
	['POST', REPO + '/statuses/([^/]+)', 201, 'write:repository', createStatus],
	['GET', REPO + '/commits/([^/]+)/status', 200, 'read:repository', combined],
	['GET', REPO + '/hooks', 200, 'read:repository', c => { intoRepo(c, true); return paged(c, c.repo.hooks, showHook); }],
	['POST', REPO + '/hooks', 201, 'write:repository', createHook],
	['PATCH', REPO + '/hooks/(\\d+)', 200, 'write:repository', editHook],
	['DELETE', REPO + '/hooks/(\\d+)', 204, 'write:repository', (c, id) => { const h = hookOf(c, id); intoRepo(c, true); c.repo.hooks.splice(c.repo.hooks.indexOf(h), 1); }],
	['GET', '/orgs/([^/]+)/labels', 200, 'read:organization', (c, org) => {
		const r = Object.values(state.repos).find(x => x.owner === org && x.org_labels);
		if (!r)
			throw notFound();
		return paged(c, r.org_labels, l => showLabel(l, r));
	}],
].map(([method, path, status, scope, act]) => ({ method, path: new RegExp(`^/api/v1${path}$`), status, scope, act }));

function authenticate(c, scope) {
	const token = (c.req.headers.authorization || '').replace(/^(token|bearer) /i, '');
	const user = Object.values(state.users).find(u => u.token === token);
	if (!user && (token || scope))
		throw new Refusal(401, token ? 'user does not exist [uid: 0, name: ]' : 'token is required');
	c.user = user?.login;
	// Labels of organisations are read with what reads issues here.
	const kinds = scope && !scope.endsWith(':organization') ? [scope, scope.replace('read:', 'write:')] : [];
	if (kinds.length && !user.scopes.some(s => kinds.includes(s)))
		throw new Refusal(403, `token does not have at least one of required scope(s), required=[${scope}], token scope=${user.scopes}`);
}

function answerTo(c) {
	const route = routes.find(r => r.method === c.req.method && r.path.test(c.path));
	if (!route) {
		if (routes.some(r => r.path.test(c.path)))
			throw new Refusal(405, 'Method Not Allowed');
		throw notFound();
	}
	authenticate(c, route.scope);
	let parts = route.path.exec(c.path).slice(1).map(decodeURIComponent);
	if (c.path.startsWith('/api/v1/repos/')) {
		c.repo = state.repos[parts.splice(0, 2).join('/').toLowerCase()];
		if (!c.repo || (c.repo.private && !mayWrite(c.repo, c.user)))
			throw notFound();
	}
	if (['POST', 'PATCH', 'PUT'].includes(c.req.method))
		try {
			c.body = JSON.parse(c.text || '{}');
		} catch (e) {
			throw new Refusal(422, `json: ${e.message}`);
		}
	return [route.status, route.act(c, ...parts)];
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

function faultFor(c) {
	const f = faults.find(x => x.left !== 0 && (!x.method || x.method === c.req.method) && (!x.path || new RegExp(x.path).test(c.req.url)) &&
		Math.random() < (x.chance ?? 1));
	if (f)
		f.left--;
	return f || {};
}

async function write(res, status, headers, text, fault) {
	if (!fault.slow && fault.cut !== 'middle') {
		res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) }).end(text);
		return;
	}
	res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) });
	if (fault.cut === 'middle') {
		res.write(text.slice(0, text.length / 2), () => res.socket.destroy());
		return;
	}
	for (let i = 0; i < text.length && !res.destroyed; i += Math.ceil(fault.slow / 10)) {
		res.write(text.slice(i, i + Math.ceil(fault.slow / 10)));
		await pause(100);
	}
	res.end();
}

async function api(req, res) {
	const url = new URL(req.url, 'http://x');
	const c = { req, path: url.pathname, query: url.searchParams, headers: {}, text: '' };
	const fault = faultFor(c);
	const entry = { method: req.method, path: req.url, status: 0, at: Date.now() };
	requests.push(entry);
	if (fault.cut === 'before') {
		req.socket.destroy();
		return;
	}
	for await (const part of req)
		c.text += part;
	if (c.path === '/api/healthz') {
		write(res, 200, { 'Content-Type': 'application/json' }, JSON.stringify({ status: 'pass', description: 'Gitea', checks: {} }), {});
		return;
	}
	let status = fault.status, result = { message: `fault ${fault.status}`, url: '' };
	if (!fault.status || fault.after)
		try {
			const [done, shown] = answerTo(c);
			if (!fault.status)
				[status, result] = [done, shown];
		} catch (e) {
			if (!(e instanceof Refusal))
				console.error(e);
			[status, result] = [e.status || 500, e.body || { message: '', url: '' }];
		}
	entry.status = status;
	if (options.record)
		appendFileSync(options.record, JSON.stringify({ method: req.method, path: req.url, body: c.text, status }) + '\n');
	if (fault.delay_ms)
		await pause(fault.delay_ms);
	if (fault.cut === 'after') {
		req.socket.destroy();
		return;
	}
	if (fault.retry_after)
		c.headers['Retry-After'] = String(fault.retry_after);
	if (fault.link)
		c.headers.Link = fault.link;
	const text = fault.body ? fault.body.repeat(fault.repeat ?? 1) : status === 204 || result === undefined ? '' : JSON.stringify(result);
	write(res, status, { ...(text ? { 'Content-Type': 'application/json;charset=utf-8' } : {}), ...c.headers }, text, fault);
}

// Control

let port = Number(options.port || 0);
const tls = options.tls && readFileSync(options.tls);
const server = (tls ? https : http).createServer(tls ? { cert: tls, key: tls } : {}, (req, res) => api(req, res).catch(e => {
	console.error(e);
	res.destroy();
}));
server.keepAliveTimeout = 30000;

const control = {
	'POST /users': b => {
		state.users[b.login] = { id: nextId(), login: b.login, token: b.token || '', scopes: b.scopes || SCOPES };
	},
	'POST /repos': b => {
		const [owner, name] = b.full_name.split('/');
		state.repos[b.full_name.toLowerCase()] = { id: nextId(), full_name: b.full_name, owner, name, private: !!b.private, archived: !!b.archived,
			writers: b.writers || [], branches: b.branches || {}, files: b.files || {}, git: b.git, labels: [], issues: [], statuses: [], hooks: [],
			org_labels: b.org_labels?.map(n => ({ id: nextId(), name: n, color: '00aabb', description: '', exclusive: n.includes('/') })) };
	},
	'POST /faults': b => void faults.push({ ...b, left: b.times === 0 ? -1 : b.times ?? 1 }),
	'DELETE /faults': () => {
		faults = [];
		webhooks = {};
	},
	'POST /away': b => {
		server.close();
		server.closeAllConnections();
		setTimeout(() => server.listen(port, '127.0.0.1'), b.ms);
	},
	'POST /webhooks': b => void (webhooks = b),
	'POST /settings': b => void Object.assign(state, b),
	'GET /requests': () => requests,
	'DELETE /requests': () => {
		requests = [];
		deliveries = [];
	},
	'GET /deliveries': () => deliveries,
	'GET /state': () => state,
};

const controller = http.createServer(async (req, res) => {
	let text = '';
	for await (const part of req)
		text += part;
	const act = control[`${req.method} ${req.url}`];
	try {
		const shown = act ? act(JSON.parse(text || '{}')) ?? {} : null;
		res.writeHead(act ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(shown));
	} catch (e) {
		res.writeHead(400).end(e.message);
	}
});

process.on('SIGTERM', () => {
	if (options.state)
		writeFileSync(options.state, JSON.stringify(state));
	process.exit(0);
});

server.listen(port, '127.0.0.1', () => {
	port = server.address().port;
	controller.listen(Number(options.control || 0), '127.0.0.1', () => console.log(`gitea: api ${port} control ${controller.address().port}`));
});

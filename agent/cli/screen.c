#include "screen.h"

#define NCURSES_NOMACROS                /* functions are looked up by their names */
#include <curses.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#ifdef __APPLE__
#define LIBRARY "libncurses.5.4.dylib"
#define HOW "it comes with macOS"
#else
#define LIBRARY "libncursesw.so.6"
#define HOW "Debian: apt install libncursesw6"
#endif

#define FUNCTIONS(X)                                                                                                        \
	X(newterm) X(endwin) X(cbreak) X(noecho) X(nonl) X(keypad) X(nodelay) X(wgetch) X(curs_set) X(has_colors)           \
	X(start_color) X(use_default_colors) X(init_pair) X(wattrset) X(wmove) X(waddnstr) X(werase) X(wrefresh) X(clearok)  \
	X(getmaxx) X(getmaxy) X(COLOR_PAIR)

static struct {
#define X(name) __typeof__(name) *name;
	FUNCTIONS(X)
#undef X
	WINDOW **stdscr;                /* the library's variable */
} api;

static const struct {
	const char *name;
	void *slot;
} symbols[] = {
#define X(name) { #name, &api.name },
	FUNCTIONS(X)
#undef X
};

static SCREEN *terminal;
static bool is_open;
static int attributes[NSTYLES];

static int
load(struct err *e)
{
	static void *lib;
	void *f;

	if (lib)
		return 0;
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return err_set(e, ERR_NOT_FOUND, "a full screen needs %s (%s): %s", LIBRARY, HOW, dlerror());
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		if (!(f = dlsym(lib, symbols[i].name)))
			return err_set(e, ERR_NOT_FOUND, "%s is too old: it has no %s", LIBRARY, symbols[i].name);
		/* A function's address in an object pointer: POSIX says that it may be copied so. */
		memcpy(symbols[i].slot, &f, sizeof f);
	}
	f = dlsym(lib, "stdscr");
	memcpy(&api.stdscr, &f, sizeof f);
	return f ? 0 : err_set(e, ERR_NOT_FOUND, "%s has no stdscr", LIBRARY);
}

static void
choose_looks(void)
{
	static const struct {
		int colour, attributes, without;        /* colour -1: none; what stands for it without colours */
	} looks[NSTYLES] = {
		[STYLE_PLAIN] = { -1, A_NORMAL, A_NORMAL },
		[STYLE_DIM] = { -1, A_DIM, A_DIM },
		[STYLE_BOLD] = { -1, A_BOLD, A_BOLD },
		[STYLE_GOOD] = { COLOR_GREEN, A_NORMAL, A_NORMAL },
		[STYLE_WARN] = { COLOR_YELLOW, A_NORMAL, A_BOLD },
		[STYLE_BAD] = { COLOR_RED, A_BOLD, A_BOLD },
		[STYLE_BAR] = { -1, A_REVERSE, A_REVERSE },
		[STYLE_ALARM] = { COLOR_RED, A_REVERSE | A_BOLD, A_REVERSE | A_BOLD },
	};
	const char *no = getenv("NO_COLOR");
	bool colours = !(no && *no) && api.has_colors();

	if (colours) {
		api.start_color();
		api.use_default_colors();
	}
	for (int i = 0; i < NSTYLES; i++) {
		attributes[i] = colours ? looks[i].attributes : looks[i].without;
		if (colours && looks[i].colour >= 0) {
			api.init_pair((short)(i + 1), (short)looks[i].colour, -1);
			attributes[i] |= api.COLOR_PAIR(i + 1);
		}
	}
}

static int
start(struct err *e)
{
	const char *term = getenv("TERM");

	/* A size in the environment would not follow the window; Esc alone need not be waited for long. */
	unsetenv("LINES");
	unsetenv("COLUMNS");
	setenv("ESCDELAY", "50", 0);
	if (!term || !*term || strcmp(term, "dumb") == 0 || !(terminal = api.newterm(NULL, stdout, stdin)))
		return err_set(e, ERR_INVALID, "TERM: expected a terminal with a screen, got %.60s; --once prints one screen as text",
		    term && *term ? term : "nothing");
	choose_looks();
	api.cbreak();
	api.noecho();
	api.nonl();
	api.keypad(*api.stdscr, TRUE);
	api.nodelay(*api.stdscr, TRUE);
	return 0;
}

int
screen_open(struct err *e)
{
	if (is_open)
		return 0;
	if (load(e) || (!terminal && start(e)))
		return -1;
	is_open = true;
	api.clearok(*api.stdscr, TRUE);
	api.wrefresh(*api.stdscr);
	api.curs_set(0);
	return 0;
}

void
screen_leave(void)
{
	if (!is_open)
		return;
	api.curs_set(1);
	api.endwin();
	is_open = false;
}

void
screen_size(int *rows, int *cols)
{
	*rows = api.getmaxy(*api.stdscr);
	*cols = api.getmaxx(*api.stdscr);
}

int
screen_key(void)
{
	static const struct {
		int curses, ours;
	} keys[] = {
		{ ERR, SCREEN_NONE }, { KEY_UP, SCREEN_UP }, { 'k', SCREEN_UP }, { KEY_DOWN, SCREEN_DOWN }, { 'j', SCREEN_DOWN },
		{ KEY_PPAGE, SCREEN_PAGE_UP }, { KEY_NPAGE, SCREEN_PAGE_DOWN }, { ' ', SCREEN_PAGE_DOWN }, { KEY_HOME, SCREEN_HOME },
		{ KEY_END, SCREEN_END }, { KEY_ENTER, SCREEN_ENTER }, { '\r', SCREEN_ENTER }, { '\n', SCREEN_ENTER },
		{ KEY_RIGHT, SCREEN_ENTER }, { KEY_LEFT, SCREEN_BACK }, { KEY_BACKSPACE, SCREEN_BACK }, { 0x7f, SCREEN_BACK },
		{ 0x1b, SCREEN_BACK }, { '\t', SCREEN_TAB }, { KEY_BTAB, SCREEN_BACK_TAB }, { KEY_RESIZE, SCREEN_RESIZED },
	};
	int c = api.wgetch(*api.stdscr);

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].curses == c)
			return keys[i].ours;
	return c > ' ' && c < 0x7f ? c : SCREEN_OTHER;
}

void
screen_clear(void)
{
	api.werase(*api.stdscr);
}

void
screen_line(int row, const struct page *p, size_t i, bool marked)
{
	const struct page_line *l = &p->lines[i];
	WINDOW *w = *api.stdscr;
	int left = api.getmaxx(w);

	api.wmove(w, row, 0);
	for (size_t j = 0; j < l->n && left > 0; j++) {
		const struct page_span *s = &p->spans[l->first + j];
		int cols;
		size_t n = page_fit(p->text.data + s->off, s->len, left, &cols);

		api.wattrset(w, attributes[s->style] | (marked ? (int)A_REVERSE : 0));
		api.waddnstr(w, p->text.data + s->off, (int)n);
		left -= cols;
	}
	api.wattrset(w, (int)A_NORMAL | (marked ? (int)A_REVERSE : 0));
	for (; marked && left > 0; left--)
		api.waddnstr(w, " ", 1);
	api.wattrset(w, (int)A_NORMAL);
}

void
screen_show(void)
{
	api.wrefresh(*api.stdscr);
}

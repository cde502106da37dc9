/*
 * screen.h - the terminal as a full screen of lines, by ncurses.
 *
 * ncurses is loaded when the screen is first opened: no other command wants it. Types and numbers come from <curses.h>,
 * functions are looked up. Colours only where the terminal has them and NO_COLOR is not set; bold and reverse remain.
 */
#ifndef UW_SCREEN_H
#define UW_SCREEN_H

#include "page.h"

struct err;

/* Other keys are themselves. */
enum screen_key {
	SCREEN_NONE = -1,
	SCREEN_UP = 0x10000, SCREEN_DOWN, SCREEN_PAGE_UP, SCREEN_PAGE_DOWN, SCREEN_HOME, SCREEN_END, SCREEN_ENTER, SCREEN_BACK,
	SCREEN_TAB, SCREEN_BACK_TAB, SCREEN_RESIZED, SCREEN_OTHER,
};

/* Takes the terminal; again after screen_leave(). -1 with e when there is none that would do. */
int screen_open(struct err *e);
/* Gives it back as it was. Harmless when it is not open. */
void screen_leave(void);

void screen_size(int *rows, int *cols);
int screen_key(void);                   /* does not wait */

/* Draws line i of the page at that row; marked: it is the chosen one. Nothing is seen before screen_show(). */
void screen_clear(void);
void screen_line(int row, const struct page *p, size_t i, bool marked);
void screen_show(void);

#endif

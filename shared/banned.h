/* banned.h - forced into every file: calls that have bitten everybody, with the way out.
 * System headers come first, for glibc defines some of these inline. */
#ifndef UW_BANNED_H
#define UW_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BANNED(name, instead) name##_is_banned_use_##instead
#undef strcpy
#define strcpy(...) BANNED(strcpy, snprintf)
#undef strcat
#define strcat(...) BANNED(strcat, buf)
#undef sprintf
#define sprintf(...) BANNED(sprintf, snprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf, vsnprintf)
#undef strtok
#define strtok(...) BANNED(strtok, strtok_r)
#undef atoi
#define atoi(...) BANNED(atoi, strtoll)
#undef gets
#define gets(...) BANNED(gets, fgets)
#undef system
#define system(...) BANNED(system, proc)
#undef popen
#define popen(...) BANNED(popen, proc)
#undef sleep
#define sleep(...) BANNED(sleep, a_deadline)

#endif

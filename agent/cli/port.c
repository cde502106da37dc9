#include "port.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

/* Below the range that the system takes for outgoing connections, so that a port that the cluster keeps while
 * it is down is not lost to one of those. */
#define FIRST 20000
#define COUNT 12000
#define TRIES 200
#define TICK_MS 10

bool
port_is_free(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	bool is_free;

	inet_pton(AF_INET, PORT_HOST, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	is_free = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
	if (fd >= 0)
		close(fd);
	return is_free;
}

bool
port_gets_free(int port, int64_t limit_ms)
{
	int64_t until = clock_mono_ms() + limit_ms;

	while (!port_is_free(port)) {
		if (clock_mono_ms() >= until)
			return false;
		poll(NULL, 0, TICK_MS);
	}
	return true;
}

static bool
is_among(int port, const int *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

int
port_choose(const int *except, size_t n)
{
	for (int i = 0; i < TRIES; i++) {
		uint16_t r;
		int port;

		if (getentropy(&r, sizeof r))
			break;
		port = FIRST + r % COUNT;
		if (!is_among(port, except, n) && port_is_free(port))
			return port;
	}
	return 0;
}

static bool
is_listed(const char *table, int port)
{
	FILE *f = fopen(table, "re");
	char line[256];
	unsigned local, state;
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f))
		found = sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) == 2 &&
		    local == (unsigned)port && state == 10;         /* TCP_LISTEN */
	if (f)
		fclose(f);
	return found;
}

static bool
port_connects(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool answers;

	inet_pton(AF_INET, PORT_HOST, &a.sin_addr);
	answers = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
	if (fd >= 0)
		close(fd);
	return answers;
}

/* Somebody listens there. Where the system tells it is not tried, for the broker would note a failed client.
 * Mosquitto's listener for WebSockets is one of IPv6, whatever its address. */
bool
port_answers(int port)
{
	if (access("/proc/net/tcp", R_OK))
		return port_connects(port);
	return is_listed("/proc/net/tcp", port) || is_listed("/proc/net/tcp6", port);
}

/*
 * drip - a client that takes its time: drip PORT LIMIT_S
 *
 * Connects to the port on this machine and sends a byte a second; says after how many seconds it was cut off, or ends with 1
 * after the limit.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long limit;
	char c;

	if (argc != 3)
		return 2;
	to.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
	limit = strtol(argv[2], NULL, 10);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof to))
		return 2;
	for (long s = 0; s < limit; s++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (send(fd, "G", 1, MSG_NOSIGNAL) < 0 || (poll(&p, 1, 1000) > 0 && recv(fd, &c, 1, 0) <= 0)) {
			printf("%ld\n", s);
			return 0;
		}
	}
	return 1;
}

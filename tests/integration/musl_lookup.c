/* Asks musl's resolver: "name FAMILY NAME" tells addresses, "address ADDRESS" its name; or why there is none. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int told(int failure)
{
	puts(failure == EAI_NONAME ? "EAI_NONAME" : failure == EAI_NODATA ? "EAI_NODATA" :
		failure == EAI_AGAIN ? "EAI_AGAIN" : gai_strerror(failure));
	return 1;
}

static int numeric(const char *text, struct addrinfo **found)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	return getaddrinfo(text, NULL, &hints, found);
}

int main(int argc, char **argv)
{
	struct addrinfo *found;
	char text[NI_MAXHOST];
	int failure;

	if (argc == 3 && !strcmp(argv[1], "address")) {
		if ((failure = numeric(argv[2], &found)))
			return told(failure);
		failure = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NAMEREQD);
		return failure ? told(failure) : (puts(text), 0);
	}
	if (argc != 4)
		return 2;
	struct addrinfo hints = {.ai_family = *argv[2] == '4' ? AF_INET : *argv[2] == '6' ? AF_INET6 : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM};
	if ((failure = getaddrinfo(argv[3], NULL, &hints, &found)))
		return told(failure);
	for (; found; found = found->ai_next) {
		getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
		puts(text);
	}
	return 0;
}

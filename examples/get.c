/* Prints a session's token for a template.
 *
 *	cc get.c $(pkg-config --cflags --libs clerktoken) -o get && ./get SESSION hasura
 */
#include <clerktoken.h>

#include <stdio.h>

int main(int argc, char **argv)
{
	struct clerktoken_failure failure;
	struct clerktoken_client *client;
	struct clerktoken_token *token;

	if (argc != 3) {
		fprintf(stderr, "usage: %s SESSION TEMPLATE\n", argv[0]);
		return 2;
	}
	if (clerktoken_new(NULL, &client, &failure) != CLERKTOKEN_OK) {
		fprintf(stderr, "%s\n", failure.text);
		return 1;
	}
	/* At most 3 seconds; the client may be kept, and shared by threads. */
	if (clerktoken_get(client, argv[1], argv[2], NULL, 3000, &token, &failure) !=
	    CLERKTOKEN_OK) {
		fprintf(stderr, "%s: %s\n", clerktoken_error_name(failure.error), failure.text);
		clerktoken_free(client);
		return 1;
	}
	puts(clerktoken_token_jwt(token));
	clerktoken_token_unref(token);
	clerktoken_free(client);
	return 0;
}

/* Clients: judged by the rules of access, admitted by the quota. */
#include "daemon/core/state.h"

#include <errno.h>

#define NOBODY ((uid_t)-1)

void engine_client_forbid(struct client *client)
{
	grant_deinit(&client->grant);
	client->admin = false;
}

int engine_client_judge(struct engine *e, struct client *client, const struct identity *who)
{
	int result;

	engine_client_forbid(client); /* the grant is good for the last rules only */
	result = access_grant(e->access, e->config.own_uid, who, &client->grant);
	client->admin = client->grant.is_admin;
	return result;
}

static int charge_client(struct engine *e, struct client *client)
{
	client->account = quota_account(&e->quota, client->uid);
	if (!client->account)
		return e->quota.count == QUOTA_MAX_ACCOUNTS ? 1 : -ENOMEM;
	if (quota_take(&e->quota, client->account, QUOTA_CONNECTIONS, 1, client->admin)) {
		quota_forget(&e->quota, client->account);
		return 1;
	}
	return 0;
}

int engine_client_init(struct engine *e, struct client *client, const struct identity *who)
{
	int result;

	*client = (struct client){ .uid = who->uid, .pid = who->pid };
	list_init(&client->watches);
	result = engine_client_judge(e, client, who);
	if (result == 0)
		result = charge_client(e, client);
	if (result)
		grant_deinit(&client->grant);
	return result;
}

int engine_client_init_trusted(struct engine *e, struct client *client)
{
	*client = (struct client){ .uid = NOBODY, .grant.scope = ACCESS_ALL };
	list_init(&client->watches);
	return charge_client(e, client);
}

void engine_client_deinit(struct engine *e, struct client *client)
{
	list_for_each_safe (it, &client->watches)
		engine_watch_end(e, container_of(it, struct watch, owner_node));
	quota_release(&e->quota, client->account, QUOTA_TRACKERS, client->tracks);
	quota_release(&e->quota, client->account, QUOTA_CONNECTIONS, 1);
	grant_deinit(&client->grant);
	client->account = NULL;
}

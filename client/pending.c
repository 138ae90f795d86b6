/* See pending.h. */
#include "client/pending.h"

#include "base/mem.h"

#include <errno.h>

_Static_assert((PENDING_MAX & (PENDING_MAX - 1)) == 0, "a power of two");

int pendings_init(struct pendings *all)
{
	*all = (struct pendings){ .slots = mem_calloc(PENDING_MAX, sizeof(struct pending *)) };
	list_init(&all->queue);
	list_init(&all->asked);
	list_init(&all->resting);
	list_init(&all->news);
	return all->slots ? 0 : -ENOMEM;
}

void pendings_deinit(struct pendings *all)
{
	for (size_t i = 0; all->slots && i < PENDING_MAX; i++) {
		if (all->slots[i])
			pendings_remove(all, all->slots[i]);
	}
	heap_deinit(&all->due);
	mem_free(all->slots);
	all->slots = NULL;
}

static struct pending **slot_of(const struct pendings *all, uint64_t number)
{
	return &all->slots[number & (PENDING_MAX - 1)];
}

/* The next one whose slot is free; there is one. */
static uint64_t draw_number(struct pendings *all)
{
	do
		all->last_number++;
	while (*slot_of(all, all->last_number));
	return all->last_number;
}

static struct span keep(char *to, struct span name)
{
	if (name.len)
		memcpy(to, name.ptr, name.len); /* at most WIRE_NAME_MAX: it was checked */
	return span_of(to, name.len);
}

int pendings_add(struct pendings *all, const struct request *request, struct mono deadline,
		 struct pending **ret)
{
	struct pending *p;

	if (all->count == PENDING_MAX)
		return -ENOBUFS;
	if (heap_reserve(&all->due, all->count + 1) < 0)
		return -ENOMEM;
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->request = *request;
	p->request.session = keep(p->session, request->session);
	p->request.template = keep(p->template, request->template);
	p->due = HEAP_NODE(0);
	p->event.id = draw_number(all);
	*slot_of(all, p->event.id) = p;
	all->count++;
	heap_set(&all->due, &p->due, deadline);
	list_init(&p->place);
	list_init(&p->news);
	list_append(&all->queue, &p->place);
	*ret = p;
	return 0;
}

static void forget(struct pendings *all, struct pending *p)
{
	heap_remove(&all->due, &p->due);
	list_unlink(&p->place);
	list_unlink(&p->news);
	*slot_of(all, p->event.id) = NULL;
	all->count--;
}

void pendings_remove(struct pendings *all, struct pending *p)
{
	forget(all, p);
	clerktoken_token_unref(p->event.token);
	clerktoken_string_free(p->event.text);
	mem_free(p);
}

struct pending *pendings_find(const struct pendings *all, uint64_t number)
{
	struct pending *p = *slot_of(all, number);

	return p && p->event.id == number ? p : NULL;
}

static struct pending *find_in(const struct list *place, struct span session, struct span template)
{
	list_for_each (it, (struct list *)place) {
		const struct request *r = &pending_at(it)->request;

		if (r->verb == VERB_WATCH && span_equal(r->session, session) &&
		    span_equal(r->template, template))
			return pending_at(it);
	}
	return NULL;
}

struct pending *pendings_find_watch(const struct pendings *all, struct span session,
				    struct span template)
{
	struct span name = span_is(template, WIRE_NO_TEMPLATE) ? SPAN_NONE : template;
	struct pending *p = find_in(&all->resting, session, name);

	if (!p)
		p = find_in(&all->asked, session, name);
	return p ? p : find_in(&all->queue, session, name);
}

void pending_move(struct pending *p, struct list *place)
{
	list_unlink(&p->place);
	list_append(place, &p->place);
}

void pendings_tell(struct pendings *all, struct pending *p, bool is_over)
{
	p->event.is_over = is_over;
	if (is_over) {
		heap_remove(&all->due, &p->due);
		list_unlink(&p->place);
	}
	list_unlink(&p->news);
	list_append(&all->news, &p->news);
}

void pendings_ask_all_again(struct pendings *all)
{
	struct list later;

	list_for_each (it, &all->resting)
		heap_remove(&all->due, &pending_at(it)->due);
	list_init(&later);
	list_move_all(&later, &all->queue);
	list_move_all(&all->queue, &all->asked);
	list_move_all(&all->queue, &later);
	list_move_all(&all->queue, &all->resting);
	list_for_each (it, &all->queue) {
		pending_at(it)->is_on_wire = false;
		pending_at(it)->is_asked = false;
	}
}

bool pendings_take_event(struct pendings *all, struct clerktoken_event *ret)
{
	struct list *first = list_first(&all->news);
	struct pending *p = first ? container_of(first, struct pending, news) : NULL;

	if (!p)
		return false;
	*ret = p->event;
	if (p->event.is_over) {
		forget(all, p);
		mem_free(p);
		return true;
	}
	list_unlink(&p->news);
	p->event = (struct clerktoken_event){ .id = ret->id, .userdata = ret->userdata };
	return true;
}

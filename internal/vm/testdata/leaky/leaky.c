// SPDX-License-Identifier: GPL-2.0-only
/*
 * leaky: per-namespace sysctls in net/leaky/, most of which are not isolated,
 * each in a way of its own. It is a test's truth, made for a throw-away machine;
 * truth.json beside it says what each key does and who notices.
 *
 * Only writes in namespaces other than the initial one leak: the initial
 * namespace can put everything back (but for the latch).
 */
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kmod.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <linux/user_namespace.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
typedef const struct ctl_table table_arg;
#else
typedef struct ctl_table table_arg;
#endif

#define ELEMENTS 3		/* of the longest value */
#define THRESHOLD 5000
#define DELAY_MS 200
#define DECREASE_DELAY_MS 250

static bool still;
module_param(still, bool, 0444);
MODULE_PARM_DESC(still, "no key moves by itself, nor by being read");

enum {
	SAME_KEY, SAME_KEY_HOST, CROSS, CROSS_EFFECT, THRESHOLD_KEY, COLOUR, AVAILABLE_COLOURS,
	TO_SIBLINGS, TO_LATER, DELAYED, ONE_WAY, BOTH_A, BOTH_B, BOTH_EFFECT,
	MASK_SET, MASK_CLEAR, MASK_EFFECT, ELEMENT, DECREASE, DECREASE_DELAYED, REJECTED, REJECTED_EFFECT,
	AT_EXIT, VIA_DESCRIPTOR, USERNS_ONLY, LOADS,
	READS, DRIFT, DRIFT_SLOW, IGNORED, SLOW, PLAIN, PLAIN_VECTOR,
	KEYS
};

/* A namespace's values. */
struct space {
	struct list_head list;
	struct net *net;
	struct ctl_table_header *header;
	struct ctl_table *table;
	ktime_t born;
	int value[KEYS][ELEMENTS];
};

static unsigned int space_id;
static LIST_HEAD(spaces);
/* Guards the list, all values and everything below. */
static DEFINE_MUTEX(lock);
/* What new namespaces start with in TO_LATER. */
static int later;

static struct space *space_of(struct net *net)
{
	return net_generic(net, space_id);
}

static int *host(int key)
{
	return space_of(&init_net)->value[key];
}

/*
 * The faults. Each is called with the lock held, after a write in s that was
 * accepted; old is what the key was before.
 */

static void tell_host(struct space *s, int key, const int *old)
{
	*host(key) = *s->value[key];
}

static void cross(struct space *s, int key, const int *old)
{
	*host(CROSS_EFFECT) = *s->value[key];
}

static void above_threshold(struct space *s, int key, const int *old)
{
	if (*s->value[key] > THRESHOLD)
		tell_host(s, key, old);
}

static const char *const colours[] = { "amber", "blue", "cyan", "green", "red" };
#define AMBER 0
#define CYAN 2

static void one_colour(struct space *s, int key, const int *old)
{
	if (*s->value[key] == CYAN)
		tell_host(s, key, old);
}

static void tell_siblings(struct space *s, int key, const int *old)
{
	struct space *other;

	list_for_each_entry(other, &spaces, list)
		if (other->net != &init_net)
			*other->value[key] = *s->value[key];
}

static void tell_later(struct space *s, int key, const int *old)
{
	later = *s->value[key];
}

/* What the host's key is set to, later. */
struct late {
	struct delayed_work work;
	int key, value;
};

static void tell_late(struct work_struct *work)
{
	struct late *late = container_of(to_delayed_work(work), struct late, work);
	struct space *s;

	mutex_lock(&lock);
	list_for_each_entry(s, &spaces, list)	/* the host may be gone: unloading */
		if (s->net == &init_net)
			*s->value[late->key] = late->value;
	mutex_unlock(&lock);
}

static struct late delayed = {
	.work = __DELAYED_WORK_INITIALIZER(delayed.work, tell_late, 0), .key = DELAYED
};
static struct late decreased = {
	.work = __DELAYED_WORK_INITIALIZER(decreased.work, tell_late, 0), .key = DECREASE_DELAYED
};

static void tell_host_later(struct space *s, int key, const int *old)
{
	delayed.value = *s->value[key];
	mod_delayed_work(system_wq, &delayed.work, msecs_to_jiffies(DELAY_MS));
}

static void decrease_later(struct space *s, int key, const int *old)
{
	if (*s->value[key] >= *old)
		return;
	decreased.value = *s->value[key];
	mod_delayed_work(system_wq, &decreased.work, msecs_to_jiffies(DECREASE_DELAY_MS));
}

/* The order counts: first A, then B. */
static void both(struct space *s, int key, const int *old)
{
	if (*s->value[BOTH_A])
		*host(BOTH_EFFECT) = *s->value[BOTH_B];
}

static void mask_set(struct space *s, int key, const int *old)
{
	*host(MASK_EFFECT) = 1;
}

static void mask_clear(struct space *s, int key, const int *old)
{
	*host(MASK_EFFECT) = 0;
}

static void second_element(struct space *s, int key, const int *old)
{
	host(key)[1] = s->value[key][1];
}

static void decrease(struct space *s, int key, const int *old)
{
	if (*s->value[key] < *old)
		tell_host(s, key, old);
}

static void from_user_namespace(struct space *s, int key, const int *old)
{
	if (s->net->user_ns != &init_user_ns)
		tell_host(s, key, old);
}

static void load_for_everybody(struct space *s, int key, const int *old)
{
	if (s->net->user_ns != &init_user_ns && !*old)
		request_module("dummy");
}

/* The handlers. Entries carry no data: extra1 is the namespace, extra2 the key. */

struct entry {
	const char *name;
	proc_handler *handler;
	int initial[ELEMENTS];
	void (*fault)(struct space *s, int key, const int *old);
};
static const struct entry keys[KEYS];

static struct space *opener(table_arg *table)
{
	return space_of(table->extra1);
}

static int key_of(table_arg *table)
{
	return (const struct entry *)table->extra2 - keys;
}

/* Reads or writes the first n numbers at data, between min and max where given. */
static int numbers(int *data, int n, int *min, int *max, int write, void *buffer, size_t *len, loff_t *pos)
{
	struct ctl_table t = { .procname = "leaky", .data = data, .maxlen = n * sizeof(int),
			       .mode = 0644, .extra1 = min, .extra2 = max };

	return proc_dointvec_minmax(&t, write, buffer, len, pos);
}

/* One access to s's value of a key; the key's fault follows a write. */
static int access(struct space *s, int key, int n, int write, void *buffer, size_t *len, loff_t *pos)
{
	int old[ELEMENTS], err;

	mutex_lock(&lock);
	memcpy(old, s->value[key], sizeof(old));
	err = numbers(s->value[key], n, NULL, NULL, write, buffer, len, pos);
	if (err)
		memcpy(s->value[key], old, sizeof(old));
	else if (write && s->net != &init_net && keys[key].fault)
		keys[key].fault(s, key, old);
	mutex_unlock(&lock);
	return err;
}

static int number(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	return access(opener(table), key_of(table), 1, write, buffer, len, pos);
}

static int vector(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	return access(opener(table), key_of(table), ELEMENTS, write, buffer, len, pos);
}

/* One variable for everybody. */
static int shared(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	return access(space_of(&init_net), key_of(table), 1, write, buffer, len, pos);
}

/* The caller's instead of the opener's. */
static int callers(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	return access(space_of(current->nsproxy->net_ns), key_of(table), 1, write, buffer, len, pos);
}

/* One variable for everybody, that only goes from 0 to 1. */
static int latch(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	int zero = 0, one = 1, value, err;

	mutex_lock(&lock);
	value = *host(ONE_WAY);
	err = numbers(&value, 1, &zero, &one, write, buffer, len, pos);
	if (!err && write && value < *host(ONE_WAY))
		err = -EBUSY;
	if (!err && write)
		*host(ONE_WAY) = value;
	mutex_unlock(&lock);
	return err;
}

/* At most what it is at first; what is refused is set elsewhere. */
static int rejected(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	struct space *s = opener(table);
	int value, err;

	mutex_lock(&lock);
	value = *s->value[REJECTED];
	err = numbers(&value, 1, NULL, NULL, write, buffer, len, pos);
	if (!err && write) {
		if (value <= *keys[REJECTED].initial) {
			*s->value[REJECTED] = value;
		} else {
			err = -EINVAL;
			if (s->net != &init_net)
				*host(REJECTED_EFFECT) = value;
		}
	}
	mutex_unlock(&lock);
	return err;
}

static int colour(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	struct space *s = opener(table);
	char name[16];
	struct ctl_table t = { .procname = "leaky", .data = name, .maxlen = sizeof(name), .mode = 0644 };
	int i, err;

	mutex_lock(&lock);
	strscpy(name, colours[*s->value[COLOUR]], sizeof(name));
	err = proc_dostring(&t, write, buffer, len, pos);
	if (!err && write) {
		i = match_string(colours, ARRAY_SIZE(colours), name);
		if (i < 0) {
			err = -ENOENT;
		} else {
			*s->value[COLOUR] = i;
			if (s->net != &init_net)
				one_colour(s, COLOUR, NULL);
		}
	}
	mutex_unlock(&lock);
	return err;
}

static int available_colours(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	char all[80] = "";
	struct ctl_table t = { .procname = "leaky", .data = all, .maxlen = sizeof(all), .mode = 0444 };
	int i;

	for (i = 0; i < ARRAY_SIZE(colours); i++) {
		if (i)
			strlcat(all, " ", sizeof(all));
		strlcat(all, colours[i], sizeof(all));
	}
	return proc_dostring(&t, write, buffer, len, pos);
}

/* Moves with each read. */
static int reads(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	struct space *s = opener(table);

	if (!write && !*pos && !still) {
		mutex_lock(&lock);
		++*s->value[READS];
		mutex_unlock(&lock);
	}
	return number(table, write, buffer, len, pos);
}

/* Moves with time. */
static int drift(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	struct space *s = opener(table);
	int key = key_of(table), period_ms = key == DRIFT ? 20 : 3000;
	int passed = still ? 0 : ktime_ms_delta(ktime_get(), s->born) / period_ms;
	int value, err;

	mutex_lock(&lock);
	value = *s->value[key] + passed;
	err = numbers(&value, 1, NULL, NULL, write, buffer, len, pos);
	if (!err && write)
		*s->value[key] = value - passed;
	mutex_unlock(&lock);
	return err;
}

static int ignored(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	int value = *keys[IGNORED].initial;

	return numbers(&value, 1, NULL, NULL, write, buffer, len, pos);
}

static int slow(table_arg *table, int write, void *buffer, size_t *len, loff_t *pos)
{
	if (write)
		msleep(50);
	return number(table, write, buffer, len, pos);
}

static const struct entry keys[KEYS] = {
	[SAME_KEY]		= { "same_key", shared },
	[SAME_KEY_HOST]		= { "same_key_host", number, { 0 }, tell_host },
	[CROSS]			= { "cross", number, { 0 }, cross },
	[CROSS_EFFECT]		= { "cross_effect", number },
	[THRESHOLD_KEY]		= { "threshold", number, { 0 }, above_threshold },
	[COLOUR]		= { "colour", colour, { AMBER } },
	[AVAILABLE_COLOURS]	= { "available_colours", available_colours },
	[TO_SIBLINGS]		= { "to_siblings", number, { 0 }, tell_siblings },
	[TO_LATER]		= { "to_later", number, { 0 }, tell_later },
	[DELAYED]		= { "delayed", number, { 0 }, tell_host_later },
	[ONE_WAY]			= { "latch", latch },
	[BOTH_A]		= { "both_a", number },
	[BOTH_B]		= { "both_b", number, { 0 }, both },
	[BOTH_EFFECT]		= { "both_effect", number },
	[MASK_SET]		= { "mask_set", number, { 0 }, mask_set },
	[MASK_CLEAR]		= { "mask_clear", number, { 0 }, mask_clear },
	[MASK_EFFECT]		= { "mask_effect", number },
	[ELEMENT]		= { "element", vector, { 10, 20, 30 }, second_element },
	[DECREASE]		= { "decrease", number, { 100 }, decrease },
	[DECREASE_DELAYED]	= { "decrease_delayed", number, { 100 }, decrease_later },
	[REJECTED]		= { "rejected", rejected, { 10 } },
	[REJECTED_EFFECT]	= { "rejected_effect", number },
	[AT_EXIT]		= { "at_exit", number },
	[VIA_DESCRIPTOR]	= { "via_descriptor", callers },
	[USERNS_ONLY]		= { "userns_only", number, { 0 }, from_user_namespace },
	[LOADS]			= { "loads", number, { 0 }, load_for_everybody },
	[READS]			= { "reads", reads },
	[DRIFT]			= { "drift", drift },
	[DRIFT_SLOW]		= { "drift_slow", drift },
	[IGNORED]		= { "ignored", ignored, { 7 } },
	[SLOW]			= { "slow", slow },
	[PLAIN]			= { "plain", number },
	[PLAIN_VECTOR]		= { "plain_vector", vector, { 1, 2, 3 } },
};

static struct ctl_table_header *register_table(struct net *net, struct ctl_table *table)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return register_net_sysctl_sz(net, "net/leaky", table, KEYS);
#else
	return register_net_sysctl(net, "net/leaky", table);
#endif
}

static int __net_init space_init(struct net *net)
{
	struct space *s = space_of(net);
	int i;

	/* Older kernels want an empty entry at the end. */
	s->table = kcalloc(KEYS + 1, sizeof(*s->table), GFP_KERNEL);
	if (!s->table)
		return -ENOMEM;
	for (i = 0; i < KEYS; i++) {
		s->table[i].procname = keys[i].name;
		s->table[i].mode = i == AVAILABLE_COLOURS ? 0444 : 0644;
		s->table[i].proc_handler = keys[i].handler;
		s->table[i].extra1 = net;
		s->table[i].extra2 = (void *)&keys[i];
		memcpy(s->value[i], keys[i].initial, sizeof(s->value[i]));
	}
	s->net = net;
	s->born = ktime_get();

	mutex_lock(&lock);
	*s->value[TO_LATER] = later;
	list_add_tail(&s->list, &spaces);
	mutex_unlock(&lock);

	s->header = register_table(net, s->table);
	if (s->header)
		return 0;
	mutex_lock(&lock);
	list_del(&s->list);
	mutex_unlock(&lock);
	kfree(s->table);
	return -ENOMEM;
}

static void __net_exit space_exit(struct net *net)
{
	struct space *s = space_of(net);

	unregister_net_sysctl_table(s->header);
	kfree(s->table);
	mutex_lock(&lock);
	list_del(&s->list);
	if (net != &init_net && *s->value[AT_EXIT])
		*host(AT_EXIT) = *s->value[AT_EXIT];
	mutex_unlock(&lock);
}

static struct pernet_operations space_ops = {
	.init = space_init,
	.exit = space_exit,
	.id = &space_id,
	.size = sizeof(struct space),
};

static int __init leaky_init(void)
{
	return register_pernet_subsys(&space_ops);
}

static void __exit leaky_exit(void)
{
	unregister_pernet_subsys(&space_ops);
	cancel_delayed_work_sync(&delayed.work);
	cancel_delayed_work_sync(&decreased.work);
}

module_init(leaky_init);
module_exit(leaky_exit);
MODULE_DESCRIPTION("Network sysctls that leak between namespaces, to be found by tests");
MODULE_LICENSE("GPL");

/* Those whom the rules name have to get to the socket as well, which its group decides. */
#include "doctor.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GROUPS_MAX 4096

/* Users who may not connect. */
struct outside {
	const struct stat *socket;
	gid_t *groups; /* room for GROUPS_MAX */
	char names[512];
	size_t count;
};

/* Also where it cannot be told: a number without a name is a user of some container. */
static bool may_connect(const struct outside *o, const char *name)
{
	/* cppcheck-suppress getpwnamCalled ; this program has one thread */
	const struct passwd *p = getpwnam(name);
	int count = GROUPS_MAX, i;

	if (!p || !p->pw_uid || p->pw_uid == o->socket->st_uid)
		return true;
	if (!(o->socket->st_mode & S_IWGRP))
		return false;
	if (getgrouplist(name, p->pw_gid, o->groups, &count) < 0)
		return true;
	for (i = 0; i < count; i++)
		if (o->groups[i] == o->socket->st_gid)
			return true;
	return false;
}

static void look_at_user(struct outside *o, const char *name)
{
	size_t n = strlen(o->names);

	if (may_connect(o, name))
		return;
	o->count++;
	if (n + 2 + strlen(name) < sizeof(o->names))
		snprintf(o->names + n, sizeof(o->names) - n, "%s%s", n ? ", " : "", name);
}

/* `may` is what the rule that names them grants: "is for", "may be logged in by". */
static void look_at_rule(struct doctor *d, const char *profile, const char *may, const char *users,
	const char *groups, struct outside *o)
{
	char list[256], todo[256], *rest, *name;
	const struct group *g;
	size_t i;

	o->count = 0;
	*o->names = '\0';
	strcpy(list, users);
	for (name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
		look_at_user(o, name);
	strcpy(list, groups);
	for (name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
		/* cppcheck-suppress getgrnamCalled ; likewise */
		g = getgrnam(name);
		for (i = 0; g && g->gr_mem[i]; i++)
			look_at_user(o, g->gr_mem[i]);
	}
	if (!o->count)
		return;
	/* cppcheck-suppress getgrgidCalled ; likewise */
	g = getgrgid(o->socket->st_gid);
	snprintf(todo, sizeof(todo),
		"usermod -aG %s USER for each of them; a program notices once it is started anew",
		g ? g->gr_name : "GROUP");
	doctor_say(d, "Sockets", FOUND_PROBLEM, todo, "profile %s %s %s, who may not connect to %s",
		profile, may, o->names, d->s->socket);
}

static void look_at_profile(struct doctor *d, const struct doctor_profile *p, struct outside *o)
{
	look_at_rule(d, p->name, "is for", p->users, p->groups, o);
	look_at_rule(d, p->name, "may be logged in by", p->login_users, p->login_groups, o);
}

void doctor_look_at_members(struct doctor *d)
{
	struct stat st;
	struct outside o = {.socket = &st};
	size_t i;

	if (stat(d->s->socket, &st) || st.st_mode & S_IWOTH)
		return;
	o.groups = malloc(GROUPS_MAX * sizeof(*o.groups));
	for (i = 0; o.groups && i < d->plan.count; i++)
		look_at_profile(d, &d->plan.profiles[i], &o);
	free(o.groups);
}

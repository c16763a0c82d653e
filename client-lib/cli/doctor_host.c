/* Files and sockets of this machine: whose they are, and what that means. */
#include "doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAME_SIZE 40

static void user_name(uid_t uid, char *ret)
{
	/* cppcheck-suppress getpwuidCalled ; this program has one thread */
	const struct passwd *p = getpwuid(uid);

	if (p)
		snprintf(ret, NAME_SIZE, "%s", p->pw_name);
	else
		snprintf(ret, NAME_SIZE, "uid %u", uid);
}

static void group_name(gid_t gid, char *ret)
{
	/* cppcheck-suppress getgrgidCalled ; likewise */
	const struct group *g = getgrgid(gid);

	if (g)
		snprintf(ret, NAME_SIZE, "%s", g->gr_name);
	else
		snprintf(ret, NAME_SIZE, "gid %u", gid);
}

/* "root:gctoken, mode 0660" */
static void owner_text(const struct stat *st, char *ret, size_t size)
{
	char user[NAME_SIZE], group[NAME_SIZE];

	user_name(st->st_uid, user);
	group_name(st->st_gid, group);
	snprintf(ret, size, "%s:%s, mode %04o", user, group, st->st_mode & 07777);
}

static void look_at_secret(struct doctor *d, const struct doctor_profile *p)
{
	char owner[128];
	struct stat st;

	if (*p->secret_credential) {
		doctor_say(d, "Credentials", FOUND_OK, NULL,
			"profile %s: the systemd credential %s", p->name, p->secret_credential);
	} else if (!*p->secret_file) {
		doctor_say(d, "Credentials", FOUND_OK, NULL,
			"profile %s: a client without a secret", p->name);
	} else if (stat(p->secret_file, &st)) {
		bool hidden = errno == EACCES;

		doctor_say(d, "Credentials", hidden ? FOUND_UNKNOWN : FOUND_PROBLEM,
			hidden ? "Run it as root to check that: sudo gctoken doctor"
			       : "Put the client's secret there, readable only by the daemon",
			"profile %s: %s: %s", p->name, p->secret_file, strerror(errno));
	} else {
		/* Whether that is strict enough was the configuration's to tell. */
		owner_text(&st, owner, sizeof(owner));
		doctor_say(d, "Credentials", FOUND_OK, NULL, "profile %s: %s (%s)", p->name,
			p->secret_file, owner);
	}
}

void doctor_look_at_credentials(struct doctor *d)
{
	size_t i;

	for (i = 0; i < d->plan.count; i++)
		look_at_secret(d, &d->plan.profiles[i]);
	if (!d->plan.count)
		doctor_say(d, "Credentials", FOUND_UNKNOWN, NULL,
			"the configuration says where they are, but could not be read");
}

/* What the daemon writes is small: some kilobytes for each client. */
#define ROOM_LEAST (1024 * 1024)
#define FILES_LEAST 16

void doctor_look_at_state(struct doctor *d)
{
	const char *path = d->plan.state_dir;
	unsigned long long room;
	struct statvfs fs;

	if (!*path)
		return;
	if (statvfs(path, &fs)) {
		doctor_say(d, "State", FOUND_UNKNOWN,
			errno == ENOENT ? "The daemon makes it when it starts" : NULL, "%s: %s",
			path, strerror(errno));
		return;
	}
	room = (unsigned long long)fs.f_bavail * fs.f_frsize;
	if (fs.f_flag & ST_RDONLY)
		doctor_say(d, "State", FOUND_PROBLEM,
			"Mount it so that it can be written to, or let state_dir name another "
			"folder",
			"%s is on a file system that is read-only", path);
	else if (room < ROOM_LEAST || (fs.f_files && fs.f_favail < FILES_LEAST))
		doctor_say(d, "State", FOUND_PROBLEM,
			"Make room there. Until then no token can be fetched: each request is "
			"written down first",
			"the disk of %s is full", path);
	else
		doctor_say(
			d, "State", FOUND_OK, NULL, "%s: %llu MB are free", path, room / 1000000);
}

/* The members that the group lists; users who have it as their primary group are not looked up. */
static void members_text(gid_t gid, char *ret, size_t size)
{
	/* cppcheck-suppress getgrgidCalled ; likewise */
	const struct group *g = getgrgid(gid);
	size_t n = 0, i;

	*ret = '\0';
	for (i = 0; g && g->gr_mem[i] && n < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? ", " : "", g->gr_mem[i]);
}

/* "everybody", or who else than root. */
static void who_text(const struct stat *st, char *ret, size_t size)
{
	char user[NAME_SIZE], group[NAME_SIZE], members[512];
	size_t n;

	if (st->st_mode & S_IWOTH) {
		snprintf(ret, size, "every user of this machine may connect");
		return;
	}
	user_name(st->st_uid, user);
	n = (size_t)snprintf(ret, size, "%s%s", st->st_uid ? "root and " : "", user);
	if (st->st_mode & S_IWGRP && st->st_gid) {
		group_name(st->st_gid, group);
		members_text(st->st_gid, members, sizeof(members));
		n += (size_t)snprintf(ret + n, size - n, " and the group %s (%s)", group,
			*members ? members : "nobody is in it");
	}
	if (n < size)
		snprintf(ret + n, size - n, " may connect");
}

static void look_at_socket(struct doctor *d, const char *path, bool wanted)
{
	char owner[128], who[1024], todo[256];
	struct stat st;

	if (stat(path, &st)) {
		if (errno == EACCES)
			doctor_say(d, "Sockets", FOUND_UNKNOWN,
				"This user may not enter the folder: ask for access, or run it as "
				"root",
				"%s: %s", path, strerror(errno));
		else
			doctor_say(d, "Sockets", FOUND_PROBLEM,
				"Start the daemon: systemctl start gctokend.socket gctokend. If "
				"nothing is configured yet: gctokend-add-profile(8). If it uses "
				"another socket, name that with --socket or GCTOKEN_SOCKET",
				"%s: %s", path, strerror(errno));
		return;
	}
	if (!S_ISSOCK(st.st_mode)) {
		doctor_say(d, "Sockets", FOUND_PROBLEM,
			"Remove it, then run: systemctl restart gctokend", "%s is not a socket",
			path);
		return;
	}
	owner_text(&st, owner, sizeof(owner));
	who_text(&st, who, sizeof(who));
	if (access(path, W_OK)) {
		group_name(st.st_gid, owner);
		snprintf(todo, sizeof(todo),
			"An administrator can give a user access: usermod -aG %s USER (then that "
			"user logs in again)",
			owner);
		owner_text(&st, owner, sizeof(owner));
		doctor_say(d, "Sockets", wanted ? FOUND_PROBLEM : FOUND_UNKNOWN, todo,
			"%s (%s): this user may not connect", path, owner);
		return;
	}
	doctor_say(d, "Sockets", FOUND_OK, NULL, "%s (%s): %s", path, owner, who);
}

/* However it was named: by a relative path, or by way of a link. */
static bool is_the_same(const char *path, const char *other)
{
	struct stat one, two;

	return !strcmp(path, other) ||
	       (!stat(path, &one) && !stat(other, &two) && one.st_dev == two.st_dev &&
		       one.st_ino == two.st_ino);
}

void doctor_look_at_sockets(struct doctor *d)
{
	look_at_socket(d, d->s->socket, true);
	if (*d->plan.socket && !is_the_same(d->plan.socket, d->s->socket))
		doctor_say(d, "Sockets", FOUND_UNKNOWN,
			"--socket or GCTOKEN_SOCKET names another daemon, or --config names "
			"another's configuration",
			"the configuration says %s", d->plan.socket);
	else if (*d->plan.page_socket)
		look_at_socket(d, d->plan.page_socket, false);
}

#include "browser_file.h"

#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".html"

/* As an attribute's value, between double quotes. */
static void put_escaped(FILE *to, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		default:
			fputc(*text, to);
		}
	}
}

static void put_page(FILE *to, const char *address)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<title>gctoken login</title>\n"
	      "<meta name=\"referrer\" content=\"no-referrer\">\n"
	      "<meta http-equiv=\"refresh\" content=\"0;url=",
		to);
	put_escaped(to, address);
	fputs("\">\n<link rel=\"icon\" href=\"data:,\">\n</head>\n<body><a href=\"", to);
	put_escaped(to, address);
	fputs("\">To the login page</a></body></html>\n", to);
}

static int write_page(int fd, const char *address)
{
	FILE *to = fdopen(fd, "w");
	bool failed;
	int error;

	if (!to) {
		error = -errno;
		close(fd);
		return error;
	}
	put_page(to, address);
	failed = ferror(to) != 0;
	return fclose(to) || failed ? -EIO : 0;
}

/* After su and sudo these variables may still name another user's folders. Whoever can change the
 * folder can give the browser another page in place of ours. */
static bool nobody_elses(const char *folder)
{
	struct stat st;
	bool sticky;

	if (stat(folder, &st) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return false;
	sticky = st.st_mode & S_ISVTX;
	return sticky || !(st.st_mode & 0022);
}

static int make_in(const char *folder, struct browser_file *f, const char *address)
{
	int fd, error,
		n = snprintf(f->path, sizeof(f->path), "%s/gctoken-login-XXXXXX" SUFFIX, folder);

	if (n < 0 || (size_t)n >= sizeof(f->path)) {
		f->path[0] = '\0';
		return -ENAMETOOLONG;
	}
	fd = mkostemps(f->path, sizeof(SUFFIX) - 1, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		f->path[0] = '\0';
		return -errno;
	}
	error = write_page(fd, address);
	if (error)
		browser_file_remove(f);
	return error;
}

/* Of a path, with what stands for itself there. */
static void write_url(struct browser_file *f)
{
	static const char plain[] =
		"/-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char *to = stpcpy(f->url, "file://");

	for (const char *p = f->path; *p; p++) {
		if (strchr(plain, *p)) {
			*to++ = *p;
			continue;
		}
		*to++ = '%';
		hex_write((const unsigned char *)p, 1, to);
		to += 2;
	}
	*to = '\0';
}

int browser_file_make(struct browser_file *ret, const char *address)
{
	const char *folders[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
	struct browser_file f;
	int error = -ENOENT;

	for (size_t i = 0; error && i < sizeof(folders) / sizeof(*folders); i++)
		if (folders[i] && *folders[i] == '/' && nobody_elses(folders[i]))
			error = make_in(folders[i], &f, address);
	if (error)
		return error;
	write_url(&f);
	*ret = f;
	return 0;
}

void browser_file_remove(struct browser_file *f)
{
	if (*f->path)
		unlink(f->path);
	f->path[0] = '\0';
}

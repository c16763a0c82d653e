#include "config_files.h"
#include "account.h"
#include "file_fit.h"
#include "name_table.h"
#include "small_file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0 and malloc'd bytes; -EFBIG; other negative errno. */
static int read_whole(int fd, char **ret, size_t *ret_length)
{
	char *bytes = malloc(CONFIG_FILE_MAX + 1);
	size_t length = 0;
	int error = bytes ? small_file_read(fd, bytes, CONFIG_FILE_MAX + 1, &length) : -ENOMEM;

	if (!error && length > CONFIG_FILE_MAX)
		error = -EFBIG;
	if (error) {
		free(bytes);
		return error;
	}
	*ret = bytes;
	*ret_length = length;
	return 0;
}

static void add_file(struct config_builder *b, const char *path)
{
	struct stat st;
	char message[512];
	char *text = NULL;
	size_t length = 0;
	int fd = -1;
	int error = small_file_open(path, &fd, &st);

	if (error == 0 && !S_ISREG(st.st_mode)) {
		config_builder_add_problem(b, path, "this is not a regular file");
	} else {
		if (error == 0)
			error = read_whole(fd, &text, &length);
		if (error == -EFBIG)
			config_builder_add_problem(b, path, "this file is longer than 1 MiB");
		else if (error < 0) {
			snprintf(message, sizeof(message), "cannot be read: %s", strerror(-error));
			config_builder_add_problem(b, path, message);
		} else {
			config_builder_add(b, path, text, length);
			if (!config_file_fit(path, &st, message, sizeof(message)))
				config_builder_complain(b, message);
		}
	}
	free(text);
	if (fd >= 0)
		close(fd);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* Bytes, not the locale's idea of an order. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_drop_ins(struct config_builder *b, const char *main_path)
{
	struct dirent **entries = NULL;
	char *directory, *path;
	char message[160];
	int count, error = 0;

	if (asprintf(&directory, "%s.d", main_path) < 0)
		return -ENOMEM;
	count = scandir(directory, &entries, is_drop_in, by_bytes);
	if (count < 0 && errno == ENOMEM) {
		error = -ENOMEM;
	} else if (count < 0 && errno != ENOENT) {
		snprintf(message, sizeof(message), "this directory cannot be read: %s",
			strerror(errno));
		config_builder_add_problem(b, directory, message);
	}
	for (int i = 0; i < count; i++) {
		if (error == 0 && asprintf(&path, "%s/%s", directory, entries[i]->d_name) >= 0) {
			add_file(b, path);
			free(path);
		} else {
			error = -ENOMEM;
		}
		free(entries[i]);
	}
	free(entries);
	free(directory);
	return error;
}

/* What is asked while one configuration is read. */
struct asked {
	enum config_purpose purpose;
	struct name_table *names; /* NULL: the name service itself is asked, and waited for */
};

static int by_name(void *context, enum name_kind kind, const char *name, uint32_t *ret)
{
	const struct asked *asked = context;

	return asked->names ? name_table_get(asked->names, kind, name, ret)
			    : name_look_up(kind, name, ret);
}

static int uid_by_name(void *context, const char *name, uid_t *ret)
{
	return by_name(context, NAME_USER, name, ret);
}

static int gid_by_name(void *context, const char *name, gid_t *ret)
{
	return by_name(context, NAME_GROUP, name, ret);
}

static bool check_file(void *context, enum config_file what, const char *path, gid_t socket_gid,
	char *problem, size_t problem_size)
{
	const struct asked *asked = context;

	return file_fit(
		what, asked->purpose == CONFIG_FOR_CHECK, path, socket_gid, problem, problem_size);
}

static bool check_state_dir(void *context, const char *path, char *problem, size_t problem_size)
{
	const struct asked *asked = context;

	return state_dir_fit(path, asked->purpose == CONFIG_FOR_CHECK, problem, problem_size);
}

static const char *variable(void *context, const char *name)
{
	(void)context;
	return getenv(name);
}

static struct config_lookup lookup_for(struct asked *asked)
{
	return (struct config_lookup){
		.context = asked,
		.uid_by_name = uid_by_name,
		.gid_by_name = gid_by_name,
		.names_may_be_missing = asked->purpose == CONFIG_FOR_START,
		.file_fit = check_file,
		.state_dir_fit = check_state_dir,
		.variable = variable,
	};
}

static int read_files(const char *path, struct config_builder **ret)
{
	struct config_builder *b;
	int error = config_builder_new(&b);

	if (error < 0)
		return error;
	add_file(b, path);
	error = add_drop_ins(b, path);
	if (error < 0)
		config_builder_free(b);
	else
		*ret = b;
	return error;
}

int config_become_reader(const char *path, char *text, size_t size)
{
	struct config_builder *b;
	char *state_dir;
	int error = read_files(path, &b);

	*text = '\0';
	if (error < 0)
		return error;
	state_dir = config_builder_state_dir(b, getenv("STATE_DIRECTORY"));
	config_builder_free(b);
	if (!state_dir)
		return -ENOMEM;
	error = account_become(state_dir, text, size);
	free(state_dir);
	return error;
}

int config_load(const char *path, enum config_purpose purpose, struct name_table *names,
	struct config **ret, struct config_problems *ret_problems)
{
	struct asked asked = {purpose, names};
	const struct config_lookup lookup = lookup_for(&asked);
	struct config_builder *b;
	int error = read_files(path, &b);

	if (error < 0)
		return error;
	error = config_builder_finish(b, &lookup, ret, ret_problems);
	config_builder_free(b);
	return error;
}

void config_problems_print(const struct config_problems *problems, FILE *to)
{
	for (size_t i = 0; i < problems->count; i++) {
		char text[2048];

		config_problem_text(&problems->items[i], text, sizeof(text));
		fprintf(to, "%s\n", text);
	}
	if (problems->left_off > 0)
		fprintf(to, "and %zu more\n", problems->left_off);
}

void config_ask_for_names(const char *path, enum config_purpose purpose, struct name_table *names)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;

	config_load(path, purpose, names, &config, &problems);
	config_problems_fini(&problems);
	config_free(config);
}

bool config_take_names(
	struct config *config, struct name_table *names, struct config_unknown *ret_unknown)
{
	struct asked asked = {CONFIG_FOR_START, names};
	const struct config_lookup lookup = lookup_for(&asked);

	return config_look_up_names(config, &lookup, ret_unknown);
}

// SPDX-License-Identifier: MIT
/* damf: one command for everything that libdamf does. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

const struct cli_command cli_commands[] = {
	{ "info", "devices, kernels, paths in use; with a model: what it is", cmd_info },
	{ "embed", "embeddings of the lines of a text", cmd_embed },
	{ "similarity", "cosine of pairs of sentences, and rank correlation", cmd_similarity },
	{ "classify", "probabilities of labels for the lines of a text", cmd_classify },
	{ "tokenize", "token ids of the lines of a text", cmd_tokenize },
	{ "convert", "add the tensors of DAMF attention to a model", cmd_convert },
	{ "bench", "time of a model, an attention layer, a matrix product", cmd_bench },
	{ "report", "what attention costs: counted, beside the figures of the paper", cmd_report },
	{ NULL, NULL, NULL },
};

static int help(void)
{
	printf("usage: damf COMMAND [OPTION...] [FILE]\n\n"
	       "Runs transformer encoders with DAMF or exact attention.\n\n"
	       "commands:\n");
	cli_print_commands(cli_commands);
	printf("\ndamf COMMAND --help tells the options of a command; damf --version the version.\n\n"
	       "exit codes: 0 success, 1 failure (memory or writing), 2 wrong command line,\n"
	       "3 unusable model or text, 4 the device (not there, not usable, or lost).\n");
	return CLI_OK;
}

/*
 * A closed standard stream would be the number of the next file that is
 * opened, and what is printed would go into it. Opened the wrong way round,
 * it gives the error that a closed one does.
 */
static void keep_standard_streams(void)
{
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

static int run(int argc, char **argv)
{
	const struct cli_command *c;

	if (argc < 2)
		return cli_error(CLI_USAGE, "no command: damf --help lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help();
	if (!strcmp(argv[1], "--version")) {
		printf("damf %s\n", damf_version());
		return CLI_OK;
	}
	c = cli_find_command(cli_commands, argv[1]);
	if (c)
		return c->run(argc - 1, argv + 1);
	return cli_error(CLI_USAGE, "\"%s\" is not a command: damf --help lists them", argv[1]);
}

int main(int argc, char **argv)
{
	int r;

	keep_standard_streams();
	signal(SIGXFSZ, SIG_IGN);	/* a file that may not be so large is an error like others */
	r = run(argc, argv);
	return r ? r : cli_flush();
}

/* help.c - help texts, from the tables. */
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"

#include <string.h>

enum { LINE = 80, INDENT = 30, INDENT_USAGE = 8 };

/* Prints words of `text`, wrapped at LINE columns; the cursor is in column `column`, further lines
 * begin in column `indent`. Ends with a newline. */
static void print_wrapped(const char *text, size_t column, size_t indent) {
    bool first = true;
    while (*text) {
        const size_t length = strcspn(text, " ");
        if (!first && column + 1 + length > LINE) {
            output_format("\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first) {
            output_text(" ");
            column++;
        }
        output_write(text, length);
        column += length;
        first = false;
        text += length;
        text += *text == ' ';
    }
    output_text("\n");
}

static void print_option(const option *o) {
    output_text("  ");
    size_t column = 2;
    for (size_t i = 0; i < 4 && o->names[i]; i++) {
        output_format("%s%s", i ? ", " : "", o->names[i]);
        column += strlen(o->names[i]) + (i ? 2 : 0);
    }
    if (o->argument) {
        output_format(" %s", o->argument);
        column += 1 + strlen(o->argument);
    }
    if (column + 2 > INDENT) {
        output_text("\n");
        column = 0;
    }
    output_format("%*s", (int)(INDENT - column), "");
    print_wrapped(o->help, INDENT, INDENT);
}

void help_print_command(const command *c) {
    output_format("usage: sluice %s ", c->name);
    print_wrapped(c->usage, strlen("usage: sluice  ") + strlen(c->name), INDENT_USAGE);
    output_text("\n");
    print_wrapped(c->details, 0, 0);
    output_text("\n");
    for (const option *o = option_table; o->names[0]; o++) {
        if (o->commands & c->bit) {
            print_option(o);
        }
    }
}

void help_print(void) {
    output_text("usage: sluice COMMAND [options]\n"
                "\n"
                "Runs language models on this machine.\n"
                "\n");
    for (const command *c = command_table; c->name; c++) {
        output_format("  %-14s%s\n", c->name, c->summary);
    }
    output_text("\n"
                "  sluice COMMAND --help, or sluice help COMMAND, lists the options of a command.\n"
                "  sluice --version prints the version.\n"
                "\n"
                "Exit status: 0 done, 1 failed while running, 2 wrong usage or input,\n"
                "130 interrupted by Ctrl-C.\n");
}

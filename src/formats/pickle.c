#include "formats/pickle.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

/* Items hang in lists: number of a value, and of the next link + 1. */
typedef struct link {
    pickle_ref value;
    uint32_t next; /* 0: the last one */
} link;

static const pickle_ref no_value = UINT32_MAX; /* in the memo: not set; on the stack: a mark */

typedef struct machine {
    const uint8_t *bytes;
    size_t size, at;
    const pickle_global *known;
    size_t n_known;
    pickle *p;
    array stack, memo; /* pickle_ref */
    bool stopped;
    sl_status status;
    sl_error *error;
} machine;

static void fail(machine *m, const char *what) {
    if (m->status == SL_OK) {
        m->status = error_set(m->error, SL_ERR_FORMAT, "the pickle, byte %zu: %s", m->at, what);
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static const uint8_t *take(machine *m, uint64_t bytes) {
    if (m->status == SL_OK && bytes > m->size - m->at) {
        fail(m, "it was cut short");
    }
    if (m->status != SL_OK) {
        return NULL;
    }
    const uint8_t *at = m->bytes + m->at;
    m->at += (size_t)bytes;
    return at;
}

static uint64_t take_number(machine *m, size_t bytes) {
    const uint8_t *at = take(m, bytes);
    return at ? bytes_number(at, bytes) : 0;
}

static str take_text(machine *m, uint64_t bytes) {
    const uint8_t *at = take(m, bytes);
    return at ? (str){(const char *)at, (size_t)bytes} : (str){"", 0};
}

static str take_line(machine *m) {
    size_t length = 0;
    while (m->at + length < m->size && m->bytes[m->at + length] != '\n') {
        length++;
    }
    const str line = take_text(m, length);
    take(m, 1);
    return line;
}

/* ---- stack and values ----------------------------------------------------------------------- */

static void append(machine *m, array *list, const void *item) {
    if (m->status == SL_OK) {
        m->status = array_push(list, item, m->error);
    }
}

static void push(machine *m, pickle_ref ref) {
    append(m, &m->stack, &ref);
}

static void push_value(machine *m, pickle_value value) {
    append(m, &m->p->values, &value);
    push(m, (pickle_ref)(m->p->values.count - 1));
}

static void push_kind(machine *m, pickle_kind kind, int64_t integer) {
    push_value(m, (pickle_value){.kind = kind, .integer = integer});
}

static void push_text(machine *m, pickle_kind kind, str text) {
    push_value(m, (pickle_value){.kind = kind, .text = text});
}

static pickle_ref top(machine *m) {
    const pickle_ref *items = m->stack.items;
    if (m->status == SL_OK && (m->stack.count == 0 || items[m->stack.count - 1] == no_value)) {
        fail(m, "an operation finds the stack empty");
    }
    return m->status == SL_OK ? items[m->stack.count - 1] : no_value;
}

static pickle_ref pop(machine *m) {
    const pickle_ref ref = top(m);
    m->stack.count -= m->status == SL_OK;
    return ref;
}

/* Place of the topmost mark; what lies above it are `*count` values. */
static size_t find_mark(machine *m, size_t *count) {
    const pickle_ref *items = m->stack.items;
    size_t at = m->status == SL_OK ? m->stack.count : 0;
    while (at > 0 && items[at - 1] != no_value) {
        at--;
    }
    if (at == 0) {
        fail(m, "an operation finds no mark on the stack");
        return *count = 0;
    }
    *count = m->stack.count - at;
    return at - 1;
}

static pickle_value *value_of(machine *m, pickle_ref ref) {
    return (pickle_value *)m->p->values.items + ref;
}

static void add_item(machine *m, pickle_ref to, pickle_ref item) {
    if (m->p->links.count >= LIMIT_PICKLE_VALUES) {
        fail(m, "it has too many items");
    }
    append(m, &m->p->links, &(link){item, 0});
    if (m->status != SL_OK) {
        return;
    }
    pickle_value *v = value_of(m, to);
    const uint32_t number = (uint32_t)m->p->links.count; /* + 1 */
    if (v->count++ == 0) {
        v->first = number;
    } else {
        ((link *)m->p->links.items)[v->last - 1].next = number;
    }
    v->last = number;
}

/* Moves the topmost `count` values of the stack into `to`. */
static void move_items(machine *m, pickle_ref to, size_t count) {
    if (m->status != SL_OK) {
        return;
    }
    const size_t begin = m->stack.count - count;
    for (size_t i = 0; i < count && m->status == SL_OK; i++) {
        add_item(m, to, ((const pickle_ref *)m->stack.items)[begin + i]);
    }
    m->stack.count = begin;
}

/* ---- operations ----------------------------------------------------------------------------- */

static void make_tuple(machine *m, size_t count) {
    for (size_t i = 0; i < count && m->status == SL_OK; i++) {
        if (m->stack.count < count ||
            ((const pickle_ref *)m->stack.items)[m->stack.count - 1 - i] == no_value) {
            fail(m, "an operation finds the stack empty");
        }
    }
    append(m, &m->p->values, &(pickle_value){.kind = PICKLE_TUPLE});
    const pickle_ref tuple = (pickle_ref)(m->p->values.count - 1);
    move_items(m, tuple, count);
    push(m, tuple);
}

static void make_marked_tuple(machine *m) {
    size_t count;
    find_mark(m, &count);
    make_tuple(m, count);
    if (m->status == SL_OK) { /* the mark lies below the tuple */
        const pickle_ref tuple = pop(m);
        m->stack.count--;
        push(m, tuple);
    }
}

/* The values above the mark go into the list or dictionary below it. */
static void add_marked(machine *m, bool pairs) {
    size_t count;
    const size_t mark = find_mark(m, &count);
    const pickle_ref to =
        m->status == SL_OK && mark > 0 ? ((const pickle_ref *)m->stack.items)[mark - 1] : no_value;
    if (to == no_value) {
        fail(m, "there is nothing to add items to");
        return;
    }
    const pickle_kind kind = value_of(m, to)->kind;
    if (pairs ? (kind != PICKLE_DICT && kind != PICKLE_CALL) || count % 2 : kind != PICKLE_LIST) {
        fail(m, "items are added to what is no list or dictionary");
    }
    move_items(m, to, count);
    if (m->status == SL_OK) {
        m->stack.count = mark;
    }
}

static void add_one(machine *m, bool pair) {
    const pickle_ref value = pop(m), key = pair ? pop(m) : 0, to = top(m);
    if (m->status != SL_OK) {
        return;
    }
    const pickle_kind kind = value_of(m, to)->kind;
    if (pair ? kind != PICKLE_DICT && kind != PICKLE_CALL : kind != PICKLE_LIST) {
        fail(m, "an item is added to what is no list or dictionary");
    }
    if (pair) {
        add_item(m, to, key);
    }
    add_item(m, to, value);
}

static void push_global(machine *m, str module, str name) {
    for (size_t i = 0; i < m->n_known && m->status == SL_OK; i++) {
        if (str_is(module, m->known[i].module) && str_is(name, m->known[i].name)) {
            push_kind(m, PICKLE_GLOBAL, (int64_t)i);
            return;
        }
    }
    if (m->status == SL_OK) {
        m->status = error_set(m->error, SL_ERR_UNSUPPORTED,
                              "the pickle, byte %zu, asks for %.*s.%.*s, which is not executed: "
                              "only what tensors are made of is known",
                              m->at, STR_ARG(module), STR_ARG(name));
    }
}

static void push_stacked_global(machine *m) {
    const pickle_ref name = pop(m), module = pop(m);
    if (m->status != SL_OK) {
        return;
    }
    if (value_of(m, name)->kind != PICKLE_STRING || value_of(m, module)->kind != PICKLE_STRING) {
        fail(m, "a global's name is no string");
        return;
    }
    push_global(m, value_of(m, module)->text, value_of(m, name)->text);
}

/* REDUCE and NEWOBJ: what would be called is only written down. */
static void push_call(machine *m) {
    const pickle_ref arguments = pop(m), callee = pop(m);
    if (m->status != SL_OK) {
        return;
    }
    if (value_of(m, callee)->kind != PICKLE_GLOBAL ||
        value_of(m, arguments)->kind != PICKLE_TUPLE) {
        fail(m, "something else than a global is called, or with something else than a tuple");
        return;
    }
    push_value(m, (pickle_value){.kind = PICKLE_CALL,
                                 .head = (uint32_t)value_of(m, callee)->integer,
                                 .tail = arguments});
}

static void drop_state(machine *m) {
    pop(m);
    const pickle_ref of = top(m);
    if (m->status == SL_OK && value_of(m, of)->kind != PICKLE_CALL) {
        fail(m, "a state is given to what is no object");
    }
}

static void push_long(machine *m, uint64_t bytes) {
    const str digits = take_text(m, bytes);
    if (bytes > 8) {
        push_text(m, PICKLE_LONG, digits);
        return;
    }
    uint64_t n = digits.len > 0 ? bytes_number((const uint8_t *)digits.ptr, digits.len) : 0;
    if (digits.len > 0 && digits.len < 8 && digits.ptr[digits.len - 1] & 0x80) {
        n |= ~(uint64_t)0 << (8 * digits.len);
    }
    push_kind(m, PICKLE_INT, (int64_t)n);
}

static void memo_put(machine *m, uint64_t number) {
    const pickle_ref value = top(m);
    if (m->status == SL_OK && number >= LIMIT_PICKLE_VALUES) {
        fail(m, "a number of the memo is too large");
    }
    while (m->status == SL_OK && m->memo.count <= number) {
        append(m, &m->memo, &no_value);
    }
    if (m->status == SL_OK) {
        ((pickle_ref *)m->memo.items)[number] = value;
    }
}

static void memo_get(machine *m, uint64_t number) {
    if (m->status == SL_OK &&
        (number >= m->memo.count || ((const pickle_ref *)m->memo.items)[number] == no_value)) {
        fail(m, "it takes what the memo does not have");
    }
    if (m->status == SL_OK) {
        push(m, ((const pickle_ref *)m->memo.items)[number]);
    }
}

static void discard_marked(machine *m) {
    size_t count;
    const size_t mark = find_mark(m, &count);
    if (m->status == SL_OK) {
        m->stack.count = mark;
    }
}

static void unknown_opcode(machine *m, uint8_t code) {
    if (m->status == SL_OK) {
        m->status = error_set(m->error, SL_ERR_UNSUPPORTED,
                              "the pickle, byte %zu: opcode 0x%02x is none that torch.save writes",
                              m->at - 1, code);
    }
}

/* Opcodes of values. Returns false if `code` is none of them. */
static bool run_value(machine *m, uint8_t code) {
    switch (code) {
    case 'N': /* NONE */
        push_kind(m, PICKLE_NONE, 0);
        return true;
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        push_kind(m, PICKLE_BOOL, code == 0x88);
        return true;
    case 'J': /* BININT */
        push_kind(m, PICKLE_INT, (int32_t)(uint32_t)take_number(m, 4));
        return true;
    case 'K': /* BININT1 */
        push_kind(m, PICKLE_INT, (int64_t)take_number(m, 1));
        return true;
    case 'M': /* BININT2 */
        push_kind(m, PICKLE_INT, (int64_t)take_number(m, 2));
        return true;
    case 0x8a: /* LONG1 */
        push_long(m, take_number(m, 1));
        return true;
    case 'G': /* BINFLOAT */
        take(m, 8);
        push_kind(m, PICKLE_FLOAT, 0);
        return true;
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING, of Python 2 */
        push_text(m, PICKLE_STRING, take_text(m, take_number(m, 4)));
        return true;
    case 0x8c: /* SHORT_BINUNICODE */
    case 'U':  /* SHORT_BINSTRING */
        push_text(m, PICKLE_STRING, take_text(m, take_number(m, 1)));
        return true;
    case 0x8d: /* BINUNICODE8 */
        push_text(m, PICKLE_STRING, take_text(m, take_number(m, 8)));
        return true;
    case '}': /* EMPTY_DICT */
        push_kind(m, PICKLE_DICT, 0);
        return true;
    case ']': /* EMPTY_LIST */
        push_kind(m, PICKLE_LIST, 0);
        return true;
    case ')': /* EMPTY_TUPLE */
        push_kind(m, PICKLE_TUPLE, 0);
        return true;
    default:
        return false;
    }
}

/* Opcodes that make something of what is on the stack. */
static bool run_build(machine *m, uint8_t code) {
    switch (code) {
    case 0x85: /* TUPLE1 */
    case 0x86: /* TUPLE2 */
    case 0x87: /* TUPLE3 */
        make_tuple(m, code - 0x84u);
        return true;
    case 't': /* TUPLE */
        make_marked_tuple(m);
        return true;
    case 'a': /* APPEND */
    case 's': /* SETITEM */
        add_one(m, code == 's');
        return true;
    case 'e': /* APPENDS */
    case 'u': /* SETITEMS */
        add_marked(m, code == 'u');
        return true;
    case 'c': { /* GLOBAL */
        const str module = take_line(m);
        push_global(m, module, take_line(m));
        return true;
    }
    case 0x93: /* STACK_GLOBAL */
        push_stacked_global(m);
        return true;
    case 'R':  /* REDUCE */
    case 0x81: /* NEWOBJ */
        push_call(m);
        return true;
    case 'b': /* BUILD */
        drop_state(m);
        return true;
    case 'Q': /* BINPERSID */
        push_value(m, (pickle_value){.kind = PICKLE_PERSISTENT, .head = pop(m)});
        return true;
    default:
        return false;
    }
}

/* Opcodes of the stack, the memo and the pickle itself. */
static bool run_control(machine *m, uint8_t code) {
    switch (code) {
    case 0x80: { /* PROTO */
        const uint64_t protocol = take_number(m, 1);
        if (protocol < 2 || protocol > 5) {
            fail(m, "its protocol is expected to be 2 to 5");
        }
        return true;
    }
    case 0x95: /* FRAME */
        take_number(m, 8);
        return true;
    case '(': /* MARK */
        push(m, no_value);
        return true;
    case '0': /* POP */
        pop(m);
        return true;
    case '1': /* POP_MARK */
        discard_marked(m);
        return true;
    case '2': /* DUP */
        push(m, top(m));
        return true;
    case 'q': /* BINPUT */
        memo_put(m, take_number(m, 1));
        return true;
    case 'r': /* LONG_BINPUT */
        memo_put(m, take_number(m, 4));
        return true;
    case 0x94: /* MEMOIZE */
        memo_put(m, m->memo.count);
        return true;
    case 'h': /* BINGET */
        memo_get(m, take_number(m, 1));
        return true;
    case 'j': /* LONG_BINGET */
        memo_get(m, take_number(m, 4));
        return true;
    case '.': /* STOP */
        m->p->root = pop(m);
        m->stopped = true;
        return true;
    default:
        return false;
    }
}

sl_status pickle_parse(const uint8_t *bytes, size_t size, const pickle_global *known,
                       size_t n_known, pickle *p, size_t *used, sl_error *error) {
    *p = (pickle){.values = array_new(sizeof(pickle_value), LIMIT_PICKLE_VALUES),
                  .links = array_new(sizeof(link), LIMIT_PICKLE_VALUES)};
    machine m = {
        .bytes = bytes,
        .size = size_min(size, LIMIT_PICKLE_BYTES),
        .known = known,
        .n_known = n_known,
        .p = p,
        .stack = array_new(sizeof(pickle_ref), LIMIT_PICKLE_VALUES),
        .memo = array_new(sizeof(pickle_ref), LIMIT_PICKLE_VALUES),
        .error = error,
    };
    if (size == 0 || bytes[0] != 0x80) {
        fail(&m, "it does not begin with a protocol of 2 or more");
    }
    while (m.status == SL_OK && !m.stopped) {
        const uint8_t code = (uint8_t)take_number(&m, 1);
        if (m.status == SL_OK && !run_value(&m, code) && !run_build(&m, code) &&
            !run_control(&m, code)) {
            unknown_opcode(&m, code);
        }
    }
    *used = m.at;
    array_free(&m.stack);
    array_free(&m.memo);
    if (m.status != SL_OK) {
        pickle_free(p);
    }
    return m.status;
}

void pickle_free(pickle *p) {
    array_free(&p->values);
    array_free(&p->links);
    *p = (pickle){0};
}

/* ---- reading -------------------------------------------------------------------------------- */

bool pickle_next(const pickle *p, const pickle_value *of, uint32_t *cursor, pickle_ref *item) {
    const link *links = p->links.items;
    const uint32_t number = *cursor == 0 ? of->first : links[*cursor - 1].next;
    if (number == 0) {
        return false;
    }
    *cursor = number;
    *item = links[number - 1].value;
    return true;
}

size_t pickle_items(const pickle *p, const pickle_value *tuple, const pickle_value **items,
                    size_t n) {
    uint32_t cursor = 0;
    pickle_ref item;
    for (size_t i = 0; i < n && pickle_next(p, tuple, &cursor, &item); i++) {
        items[i] = pickle_at(p, item);
    }
    return tuple->count;
}

bool pickle_is_text(const pickle_value *value, const char *text) {
    return value->kind == PICKLE_STRING && str_is(value->text, text);
}

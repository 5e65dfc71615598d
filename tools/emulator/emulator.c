/* emulator.c - gives a program the instruction sets that this processor lacks.
 *
 * Preloaded into an x86-64 program (tools/emulate_x86.sh). The program runs as always until it
 * meets an instruction that the processor does not know; the signal that follows hands the thread's
 * registers to the processor of the Bochs emulator, a Sapphire Rapids, which goes on from there in
 * the same memory:
 *
 *     the program                      the emulated processor
 *     kernel(...)
 *       vpdpbusd zmm0, ...  SIGILL ->  vpdpbusd zmm0, ...
 *                                      ...
 *       back in the caller   <-        ret out of the function, or a call out of the program
 *
 * So only the functions in question are slow. Whether an instruction set is there is asked in one
 * function, DETECTOR, which is made to begin with an instruction that no processor knows; thus the
 * emulated processor answers it.
 *
 * Between the two the general registers, MXCSR and ymm0 to ymm15 are carried over. The rest of the
 * vector registers and the mask registers are free across calls, and calls are where the emulated
 * processor stops, so it starts with the upper halves as zeros: what VEX instructions have left.
 *
 * The emulator is bochscpu's library, the file BOCHSCPU, of which only plain C functions are used
 * (below). It looks its own callbacks up by name, so this library replaces them by being loaded
 * before it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define DETECTOR "look"

/* ---- bochscpu: the first argument is always the processor's number, 0 ------------------------ */

void cpu_new(unsigned id);
void cpu_loop(unsigned id);
void cpu_bail(unsigned id); /* out of a callback to cpu_loop */
void cpu_set_killbit(unsigned id);
void cpu_clear_killbit(unsigned id);
void cpu_set_mode(unsigned id); /* after a change of control registers */
void cpu_set_cr0(unsigned id, uint32_t value);
void cpu_set_cr3(unsigned id, uint64_t value);
void cpu_set_cr4(unsigned id, uint32_t value);
void cpu_set_efer(unsigned id, uint32_t value);
void cpu_set_xcr0(unsigned id, uint32_t value);
void cpu_set_seg(unsigned id, unsigned segment, uint32_t present, uint16_t selector, uint64_t base,
                 uint32_t limit, uint16_t attributes);
void cpu_set_mxcsr(unsigned id, uint32_t value);
void cpu_set_mxcsr_mask(unsigned id, uint32_t value);
uint32_t cpu_get_mxcsr(unsigned id);
void cpu_set_eflags(unsigned id, uint32_t value);
void cpu_set_pc(unsigned id, uint64_t value);
void cpu_set_sp(unsigned id, uint64_t value);
uint64_t cpu_get_pc(unsigned id);
void cpu_set_reg64(unsigned id, unsigned reg, uint64_t value);
uint64_t cpu_get_reg64(unsigned id, unsigned reg);
uint64_t cpu_get_cr2(unsigned id);
void cpu_set_zmm(unsigned id, unsigned reg, const uint64_t value[8]);
void cpu_get_zmm(unsigned id, unsigned reg, uint64_t value[8]);

enum { ES, CS, SS, DS, FS, GS, SEGMENTS };

/* Registers by the number that instructions know them by. */
static const int gregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
enum { RSP = 4 };

static _Noreturn void give_up(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "emulator: ");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    _exit(70);
}

/* ---- memory ----------------------------------------------------------------------
 * The emulated processor sees the program's own addresses. They have 47 bits and its physical ones
 * 40, so each GiB in use gets a physical GiB when the page tables are first asked for it: these
 * exist only in the answers to that question.
 */

enum { GIB_SHIFT = 30, SLOTS = 1022, PHYSICAL_TABLES = 1023 };

static uint32_t slot_of_gib[1 << 17]; /* 0: none yet, else the slot plus one */
static uint32_t gib_of_slot[SLOTS];
static uint32_t n_slot;

static uint64_t physical_gib(uint64_t gib) {
    if (slot_of_gib[gib] == 0) {
        if (n_slot == SLOTS) {
            give_up("the program's memory is spread too wide");
        }
        gib_of_slot[n_slot] = (uint32_t)gib;
        slot_of_gib[gib] = ++n_slot;
    }
    return slot_of_gib[gib] - 1;
}

/* An entry of the tables: 4 KiB of level four, then 256 times 4 KiB of level three. */
static uint64_t table_entry(uint64_t offset) {
    enum { PRESENT_WRITABLE_ACCESSED = 0x23, DIRTY_LARGE = 0xc0 };
    const uint64_t index = offset / 8;
    if (index < 256) {
        return ((uint64_t)PHYSICAL_TABLES << GIB_SHIFT) + 4096 * (index + 1) +
               PRESENT_WRITABLE_ACCESSED;
    }
    return index < 512
               ? 0
               : (physical_gib(index - 512) << GIB_SHIFT) + PRESENT_WRITABLE_ACCESSED + DIRTY_LARGE;
}

uint8_t *mem_guest_to_host(unsigned id, uint64_t physical, unsigned access) {
    (void)id, (void)access;
    const uint64_t slot = physical >> GIB_SHIFT;
    if (slot >= n_slot) {
        give_up("physical address %#lx", (unsigned long)physical);
    }
    const uint64_t offset = physical & ((1u << GIB_SHIFT) - 1);
    return (uint8_t *)(((uint64_t)gib_of_slot[slot] << GIB_SHIFT) + offset);
}

void mem_read_phy(unsigned id, uint64_t physical, unsigned bytes, void *to) {
    if (physical >> GIB_SHIFT == PHYSICAL_TABLES) {
        const uint64_t entry = table_entry(physical & ((1u << GIB_SHIFT) - 1));
        memcpy(to, &entry, bytes);
    } else {
        memcpy(to, mem_guest_to_host(id, physical, 0), bytes);
    }
}

void mem_write_phy(unsigned id, uint64_t physical, unsigned bytes, const void *from) {
    memcpy(mem_guest_to_host(id, physical, 1), from, bytes);
}

/* ---- when to stop ---------------------------------------------------------------------------- */

static uintptr_t program_begin, program_end; /* the program's code, without the libraries */
static uint64_t entry_rsp;
static uint64_t n_entry, n_instruction;

static void stop(void) {
    cpu_set_killbit(0);
    cpu_bail(0);
}

/* After the jump, call or return. */
void bx_instr_ucnear_branch(unsigned id, unsigned what, uint64_t from, uint64_t to) {
    (void)from;
    enum { RETURN = 14 };
    const bool has_returned = what == RETURN && cpu_get_reg64(id, RSP) > entry_rsp;
    if (has_returned || to < program_begin || to >= program_end) {
        stop();
    }
}

void bx_instr_exception(unsigned id, unsigned vector, unsigned error) {
    give_up("exception %u (error %u, cr2 %#lx) at program + %#lx", vector, error,
            (unsigned long)cpu_get_cr2(id), (unsigned long)(cpu_get_pc(id) - program_begin));
}

void bx_instr_far_branch(unsigned id, unsigned what, uint16_t cs, uint64_t from, uint16_t new_cs,
                         uint64_t to) {
    (void)id, (void)cs, (void)new_cs, (void)to;
    give_up("far branch of kind %u at program + %#lx", what, (unsigned long)(from - program_begin));
}

void bx_instr_before_execution(unsigned id, void *instruction) {
    (void)id, (void)instruction;
    n_instruction++;
}

/* Those whose answer is nothing. */
void bx_instr_after_execution(unsigned id, void *instruction) {
    (void)id, (void)instruction;
}

void bx_instr_opcode(unsigned id, void *instruction, const uint8_t *bytes, unsigned n,
                     unsigned is32, unsigned is64) {
    (void)id, (void)instruction, (void)bytes, (void)n, (void)is32, (void)is64;
}

void bx_instr_cnear_branch_taken(unsigned id, uint64_t from, uint64_t to) {
    (void)id, (void)from, (void)to;
}

void bx_instr_cnear_branch_not_taken(unsigned id, uint64_t from, uint64_t to) {
    (void)id, (void)from, (void)to;
}

void bx_instr_lin_access(unsigned id, uint64_t address, uint64_t physical, unsigned bytes,
                         unsigned type, unsigned access) {
    (void)id, (void)address, (void)physical, (void)bytes, (void)type, (void)access;
}

void bx_instr_phy_access(unsigned id, uint64_t physical, unsigned bytes, unsigned type,
                         unsigned access) {
    (void)id, (void)physical, (void)bytes, (void)type, (void)access;
}

void bx_instr_repeat_iteration(unsigned id, void *instruction) {
    (void)id, (void)instruction;
}

void bx_instr_prefetch_hint(unsigned id, unsigned what, unsigned segment, uint64_t offset) {
    (void)id, (void)what, (void)segment, (void)offset;
}

/* The model that bochscpu takes has no VNNI, so it gets this one's description instead. */
void *sapphire_rapids(void *cpu) __asm__("_Z28create_sapphire_rapids_cpuidP8BX_CPU_C");
void *cannon_lake(void *cpu) __asm__("_Z23create_corei3_cnl_cpuidP8BX_CPU_C");

void *cannon_lake(void *cpu) {
    return sapphire_rapids(cpu);
}

/* ---- in and out ------------------------------------------------------------------------------ */

static pthread_mutex_t processor_lock = PTHREAD_MUTEX_INITIALIZER;

/* The state as XSAVE puts it into a signal's frame: the legacy area of 512 bytes, which parts of
 * the state are there, and the upper halves of ymm registers. */
enum { XSTATE_BV = 512, YMM_HIGH = 576, HAS_SSE = 2, HAS_AVX = 4 };

static uint64_t xstate_bv(const uint8_t *frame) {
    uint64_t bits;
    memcpy(&bits, frame + XSTATE_BV, sizeof bits);
    return bits;
}

static void load_vectors(const struct _libc_fpstate *state) {
    const uint8_t *const frame = (const uint8_t *)state;
    const uint64_t bits = xstate_bv(frame);
    for (unsigned i = 0; i < 32; i++) {
        uint64_t zmm[8] = {0};
        if (i < 16 && bits & HAS_SSE) {
            memcpy(&zmm[0], &state->_xmm[i], 16);
        }
        if (i < 16 && bits & HAS_AVX) {
            memcpy(&zmm[2], frame + YMM_HIGH + 16 * i, 16);
        }
        cpu_set_zmm(0, i, zmm);
    }
    cpu_set_mxcsr(0, state->mxcsr);
}

static void store_vectors(struct _libc_fpstate *state) {
    uint8_t *const frame = (uint8_t *)state;
    const uint64_t bits = xstate_bv(frame) | HAS_SSE | HAS_AVX;
    memcpy(frame + XSTATE_BV, &bits, sizeof bits);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t zmm[8];
        cpu_get_zmm(0, i, zmm);
        memcpy(&state->_xmm[i], &zmm[0], 16);
        memcpy(frame + YMM_HIGH + 16 * i, &zmm[2], 16);
    }
    state->mxcsr = cpu_get_mxcsr(0);
}

static void set_segment(unsigned segment, uint64_t base) {
    enum { CODE64 = 0xa09b, DATA = 0xc093 };
    cpu_set_seg(0, segment, 1, segment == CS ? 0x10 : 0x18, base, UINT32_MAX,
                segment == CS ? CODE64 : DATA);
}

/* This thread's FS base, under which its thread-local variables are. */
static uint64_t thread_base(void) {
    uint64_t base;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    return base;
}

static uint8_t *detector;
static uint8_t detector_bytes[2];

static void put_code(uint8_t *at, const uint8_t bytes[2]) {
    const uintptr_t page = (uintptr_t)at & ~(uintptr_t)4095;
    if (mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
        give_up("mprotect");
    }
    memcpy(at, bytes, 2);
}

static void emulate(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    ucontext_t *const thread = context;
    greg_t *const g = thread->uc_mcontext.gregs;
    pthread_mutex_lock(&processor_lock);
    if ((uint8_t *)g[REG_RIP] == detector) {
        put_code(detector, detector_bytes);
    }
    enum { ARITHMETIC_FLAGS = 0xcd5 };
    cpu_set_eflags(0, (uint32_t)(g[REG_EFL] & ARITHMETIC_FLAGS) | 2);
    for (unsigned i = 0; i < 16; i++) {
        cpu_set_reg64(0, i, (uint64_t)g[gregs[i]]);
    }
    entry_rsp = (uint64_t)g[REG_RSP];
    cpu_set_sp(0, entry_rsp);
    cpu_set_pc(0, (uint64_t)g[REG_RIP]);
    set_segment(FS, thread_base());
    load_vectors(thread->uc_mcontext.fpregs);
    n_entry++;
    cpu_clear_killbit(0);
    cpu_loop(0);
    store_vectors(thread->uc_mcontext.fpregs);
    for (unsigned i = 0; i < 16; i++) {
        g[gregs[i]] = (greg_t)cpu_get_reg64(0, i);
    }
    g[REG_RIP] = (greg_t)cpu_get_pc(0);
    pthread_mutex_unlock(&processor_lock);
}

/* The emulated function uses the thread's stack from where it stood, so the handler, which waits
 * for it, needs another one. */
static void use_other_stack(void) {
    enum { BYTES = 256 << 10 };
    const stack_t stack = {.ss_sp = malloc(BYTES), .ss_size = BYTES};
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0) {
        give_up("sigaltstack");
    }
}

/* The function that one of this library's hides. */
static void *next(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

typedef struct {
    void *(*run)(void *);
    void *argument;
} thread_start;

static void *begin_thread(void *argument) {
    const thread_start start = *(thread_start *)argument;
    free(argument);
    use_other_stack();
    return start.run(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&create = next("pthread_create");
    thread_start *const start = malloc(sizeof *start);
    *start = (thread_start){run, argument};
    return create(thread, attributes, begin_thread, start);
}

/* Test frameworks want to know of SIGILL too; it stays ours. */
int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    int (*set)(int, const struct sigaction *, struct sigaction *);
    *(void **)&set = next("sigaction");
    return set(number, number == SIGILL ? NULL : action, before);
}

sighandler_t signal(int number, sighandler_t handler) {
    sighandler_t (*set)(int, sighandler_t);
    *(void **)&set = next("signal");
    return number == SIGILL ? SIG_DFL : set(number, handler);
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* Finds where the program's own code lies; the first object is the program. */
static int find_program(struct dl_phdr_info *object, size_t bytes, void *base) {
    (void)bytes;
    *(uintptr_t *)base = object->dlpi_addr;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *const part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            program_begin = object->dlpi_addr + part->p_vaddr;
            program_end = program_begin + part->p_memsz;
        }
    }
    return 1;
}

/* The address of a function in the program's symbol table, or NULL. */
static uint8_t *find_symbol(const char *name) {
    uintptr_t base = 0;
    dl_iterate_phdr(find_program, &base);
    FILE *const file = fopen("/proc/self/exe", "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        return NULL;
    }
    const size_t bytes = (size_t)ftell(file);
    const uint8_t *const image = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    fclose(file);
    const ElfW(Ehdr) *const header = (const ElfW(Ehdr) *)image;
    const ElfW(Shdr) *const sections = (const ElfW(Shdr) *)(image + header->e_shoff);
    uint8_t *found = NULL;
    for (unsigned s = 0; s < header->e_shnum; s++) {
        if (sections[s].sh_type != SHT_SYMTAB) {
            continue;
        }
        const ElfW(Sym) *const symbols = (const ElfW(Sym) *)(image + sections[s].sh_offset);
        const char *const names = (const char *)image + sections[sections[s].sh_link].sh_offset;
        for (size_t i = 0; i < sections[s].sh_size / sizeof *symbols; i++) {
            if (strcmp(names + symbols[i].st_name, name) == 0) {
                found = (uint8_t *)base + symbols[i].st_value;
            }
        }
    }
    munmap((void *)image, bytes);
    return found;
}

/* 64-bit mode at the highest privilege, all vector registers on. */
static void start_processor(void) {
    cpu_new(0);
    cpu_set_cr3(0, (uint64_t)PHYSICAL_TABLES << GIB_SHIFT);
    cpu_set_cr4(0, 0x406b0);
    cpu_set_cr0(0, 0x80050033);
    cpu_set_efer(0, 0xd01);
    cpu_set_xcr0(0, 0xe7);
    cpu_set_mxcsr_mask(0, 0xffff);
    cpu_set_mxcsr(0, 0x1f80);
    cpu_set_eflags(0, 2);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        set_segment(i, 0);
    }
    cpu_set_mode(0);
}

__attribute__((destructor)) static void report(void) {
    if (n_entry) {
        fprintf(stderr, "emulator: %.1f million instructions in %lu calls\n",
                (double)n_instruction / 1e6, (unsigned long)n_entry);
    }
}

__attribute__((constructor)) static void set_up(void) {
    detector = find_symbol(DETECTOR);
    if (!detector) {
        return; /* some other program, such as the shell that starts it */
    }
    if (!dlopen(BOCHSCPU, RTLD_LAZY | RTLD_GLOBAL)) {
        give_up("%s", dlerror());
    }
    start_processor();
    memcpy(detector_bytes, detector, 2);
    put_code(detector, (const uint8_t[]){0x0f, 0x0b}); /* UD2 */
    use_other_stack();
    struct sigaction action = {.sa_sigaction = emulate, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int (*set)(int, const struct sigaction *, struct sigaction *);
    *(void **)&set = next("sigaction");
    if (set(SIGILL, &action, NULL) != 0) {
        give_up("sigaction");
    }
}

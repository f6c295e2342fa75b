/* Hides what a processor has beyond AVX2 from a program, so that its AVX2 kernels run and can be tested and timed.

     gcc -O2 -shared -fPIC -o older_cpu.so examples/older_cpu.c
     LD_PRELOAD=$PWD/older_cpu.so neuroprompt bench out/onnx

   Linux on x86-64 only, on a processor with CPUID faulting (`grep cpuid_fault /proc/cpuinfo`): every CPUID instruction
   raises SIGSEGV, and the answer that the program gets has AVX-512, VNNI and AMX masked out. The C library has chosen
   its own functions before, and /proc/cpuinfo still names everything. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012

static const struct { uint32_t leaf, subleaf, eax, ebx, ecx, edx; } hidden[] = {
    /* Intel's manual, volume 2A, CPUID: AVX-512 of all kinds, VNNI, AMX; of subleaf 1 AVX-VNNI, AVX512-BF16, AMX-FP16,
       AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10. */
    {7, 0, 0, 0xDC230000, 0x00005842, 0x03C0010C},
    {7, 1, 0x00A00030, 0, 0, 0x00080530},
};

static void set_faulting(int on) { syscall(SYS_arch_prctl, ARCH_SET_CPUID, !on); }

static void set(void *handler, int flags) { /* past our own sigaction */
    __typeof__(&sigaction) real = (__typeof__(&sigaction))dlsym(RTLD_NEXT, "sigaction");
    struct sigaction act = {.sa_flags = flags};
    act.sa_sigaction = handler;
    real(SIGSEGV, &act, NULL);
}

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)r[REG_RIP];
    (void)number, (void)info;
    if (at[0] != 0x0F || at[1] != 0xA2) { /* another fault: as if we were not here */
        set(SIG_DFL, 0);
        return;
    }
    uint32_t leaf = r[REG_RAX], subleaf = r[REG_RCX], a, b, c, d;
    set_faulting(0);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(subleaf));
    set_faulting(1);
    for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (hidden[i].leaf == leaf && hidden[i].subleaf == subleaf)
            a &= ~hidden[i].eax, b &= ~hidden[i].ebx, c &= ~hidden[i].ecx, d &= ~hidden[i].edx;
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

/* Others want SIGSEGV for themselves (Python's faulthandler, gcc). */
int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    static __typeof__(&sigaction) real;
    if (!real) real = (__typeof__(&sigaction))dlsym(RTLD_NEXT, "sigaction");
    return real(number, number == SIGSEGV ? NULL : new, old);
}

sighandler_t signal(int number, sighandler_t handler) {
    static __typeof__(&signal) real;
    if (!real) real = (__typeof__(&signal))dlsym(RTLD_NEXT, "signal");
    return number == SIGSEGV ? SIG_DFL : real(number, handler);
}

__attribute__((constructor)) static void begin(void) {
    set(answer, SA_SIGINFO | SA_NODEFER); /* on the thread's own stack: others' signal stacks are too small for AMX */
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0)) {
        fprintf(stderr, "older_cpu: this processor or its kernel has no CPUID faulting: nothing is hidden\n");
        exit(2);
    }
}

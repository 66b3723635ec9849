//! Random sequences of calls return the same results, and the same events in the same order,
//! through the raw system calls and through the library.
//!
//! One thing that the original adds to the system calls is modelled here: a poll of an empty ring
//! returns 0, whatever the other arguments are.

mod support;

use libc::{c_int, c_long, c_void, timespec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};
use support::ours;

type Context = *mut c_void;

/// struct io_event.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Event {
    data: u64,
    obj: u64,
    res: i64,
    res2: i64,
}

/// struct iocb.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: i16,
    priority: i16,
    fd: i32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

#[derive(Clone, Copy, Debug)]
enum Time {
    Zero,
    Short,
    Negative,
    /// NULL
    Forever,
}

#[derive(Clone, Debug)]
enum Call {
    /// Reads of so many bytes of /dev/zero, which complete at once; -1 is a bad request.
    Submit(Vec<i8>),
    Getevents(c_long, c_long, Time, bool),
    Pgetevents(c_long, c_long, Time, bool, bool),
    QueueRun,
    Cancel(usize),
    Destroy,
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => Just(Time::Zero),
        2 => Just(Time::Short),
        1 => Just(Time::Negative),
        4 => Just(Time::Forever),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let nr = || prop_oneof![1 => -1..0_i64, 1 => Just(0_i64), 12 => 1..12_i64];
    let min_nr = || prop_oneof![1 => -1..0_i64, 4 => Just(0_i64), 6 => 1..4_i64, 2 => 4..13_i64];
    let room = || prop_oneof![1 => Just(false), 15 => Just(true)];
    prop_oneof![
        80 => prop::collection::vec(prop_oneof![1 => Just(-1_i8), 20 => 0..100_i8], 0..12)
            .prop_map(Call::Submit),
        60 => (min_nr(), nr(), time(), room()).prop_map(|(m, n, t, r)| Call::Getevents(m, n, t, r)),
        40 => (min_nr(), nr(), time(), room(), any::<bool>())
            .prop_map(|(m, n, t, r, mask)| Call::Pgetevents(m, n, t, r, mask)),
        20 => Just(Call::QueueRun),
        5 => (0..ROOM).prop_map(Call::Cancel),
        1 => Just(Call::Destroy),
    ]
}

const ROOM: usize = 16;
/// What the events array holds where nothing was written.
const UNTOUCHED: i64 = 0x5555;

type Answer = (c_long, Vec<(usize, i64)>);

/// How calls are made: by system calls or through the library.
trait Aio {
    fn setup(&self, nr: c_int, ctx: &mut Context) -> c_long;
    fn destroy(&self, ctx: Context) -> c_long;
    fn submit(&self, ctx: Context, nr: c_long, list: *mut *mut Iocb) -> c_long;
    fn cancel(&self, ctx: Context, iocb: *mut Iocb, event: *mut Event) -> c_long;
    fn getevents(
        &self,
        ctx: Context,
        numbers: (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
    ) -> c_long;
    fn pgetevents(
        &self,
        ctx: Context,
        numbers: (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
        mask: *const u64,
    ) -> c_long;
    fn queue_run(&self, ctx: Context) -> c_long;
}

struct SystemCalls {
    pgetevents: c_long,
}

fn negated(answer: c_long) -> c_long {
    match answer {
        -1 => -c_long::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        answer => answer,
    }
}

/// Whether a ring is empty. Its first words are id, nr, head and tail.
fn is_empty(ctx: Context) -> bool {
    // SAFETY: a live context of this test, with nothing in flight.
    let header = unsafe { ctx.cast::<[u32; 4]>().read_volatile() };
    header[2] == header[3]
}

impl SystemCalls {
    fn is_poll_of_empty(&self, ctx: Context, timeout: *const timespec) -> bool {
        // SAFETY: a local of the caller, or NULL.
        let zero = unsafe { timeout.as_ref() };
        is_empty(ctx) && zero.is_some_and(|time| time.tv_sec == 0 && time.tv_nsec == 0)
    }
}

// SAFETY of all calls: the pointers are to memory of this test that has room for every number asked
// for, or they are bad on purpose, which the kernel notices.
impl Aio for SystemCalls {
    fn setup(&self, nr: c_int, ctx: &mut Context) -> c_long {
        negated(unsafe { libc::syscall(libc::SYS_io_setup, nr, ctx as *mut Context) })
    }
    fn destroy(&self, ctx: Context) -> c_long {
        negated(unsafe { libc::syscall(libc::SYS_io_destroy, ctx) })
    }
    fn submit(&self, ctx: Context, nr: c_long, list: *mut *mut Iocb) -> c_long {
        negated(unsafe { libc::syscall(libc::SYS_io_submit, ctx, nr, list) })
    }
    fn cancel(&self, ctx: Context, iocb: *mut Iocb, event: *mut Event) -> c_long {
        negated(unsafe { libc::syscall(libc::SYS_io_cancel, ctx, iocb, event) })
    }
    fn getevents(
        &self,
        ctx: Context,
        (min_nr, nr): (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
    ) -> c_long {
        if self.is_poll_of_empty(ctx, timeout) {
            return 0;
        }
        let call = libc::SYS_io_getevents;
        negated(unsafe { libc::syscall(call, ctx, min_nr, nr, events, timeout) })
    }
    fn pgetevents(
        &self,
        ctx: Context,
        (min_nr, nr): (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
        mask: *const u64,
    ) -> c_long {
        if self.is_poll_of_empty(ctx, timeout) {
            return 0;
        }
        // struct __aio_sigset
        let set: [usize; 2] = [mask as usize, 8];
        negated(unsafe { libc::syscall(self.pgetevents, ctx, min_nr, nr, events, timeout, &set) })
    }
    fn queue_run(&self, ctx: Context) -> c_long {
        let zero = timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            let mut event = Event::default();
            match self.getevents(ctx, (0, 1), &mut event, &zero) {
                1 => callback(ctx, event.obj, event.res, event.res2),
                answer => return answer,
            }
        }
    }
}

/// The functions of libaio.so.1.
struct Library {
    handle: *mut c_void,
}

impl Library {
    fn open() -> Library {
        let path = CString::new(ours().shared.as_os_str().as_bytes()).expect("no NUL in it");
        // SAFETY: the library's constructor makes a system call, no more.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        Library { handle }
    }

    /// `F` is the function's type in libaio.h.
    fn function<F: Copy>(&self, name: &str) -> F {
        let name = CString::new(name).expect("no NUL in it");
        // SAFETY: an open library and a C string.
        let address = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!address.is_null() && size_of::<F>() == size_of::<usize>());
        // SAFETY: the address of a function of that type, by the contract.
        unsafe { std::mem::transmute_copy(&address) }
    }
}

impl Aio for Library {
    fn setup(&self, nr: c_int, ctx: &mut Context) -> c_long {
        type F = extern "C" fn(c_int, *mut Context) -> c_int;
        self.function::<F>("io_setup")(nr, ctx).into()
    }
    fn destroy(&self, ctx: Context) -> c_long {
        type F = extern "C" fn(Context) -> c_int;
        self.function::<F>("io_destroy")(ctx).into()
    }
    fn submit(&self, ctx: Context, nr: c_long, list: *mut *mut Iocb) -> c_long {
        type F = extern "C" fn(Context, c_long, *mut *mut Iocb) -> c_int;
        self.function::<F>("io_submit")(ctx, nr, list).into()
    }
    fn cancel(&self, ctx: Context, iocb: *mut Iocb, event: *mut Event) -> c_long {
        type F = extern "C" fn(Context, *mut Iocb, *mut Event) -> c_int;
        self.function::<F>("io_cancel")(ctx, iocb, event).into()
    }
    fn getevents(
        &self,
        ctx: Context,
        (min_nr, nr): (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
    ) -> c_long {
        type F = extern "C" fn(Context, c_long, c_long, *mut Event, *const timespec) -> c_int;
        self.function::<F>("io_getevents")(ctx, min_nr, nr, events, timeout).into()
    }
    fn pgetevents(
        &self,
        ctx: Context,
        (min_nr, nr): (c_long, c_long),
        events: *mut Event,
        timeout: *const timespec,
        mask: *const u64,
    ) -> c_long {
        type F = extern "C" fn(
            Context,
            c_long,
            c_long,
            *mut Event,
            *const timespec,
            *const u64,
        ) -> c_int;
        self.function::<F>("io_pgetevents")(ctx, min_nr, nr, events, timeout, mask).into()
    }
    fn queue_run(&self, ctx: Context) -> c_long {
        type F = extern "C" fn(Context) -> c_int;
        self.function::<F>("io_queue_run")(ctx).into()
    }
}

thread_local! {
    /// What io_queue_run has passed to the callback.
    static CALLED: RefCell<Vec<(u64, i64)>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn callback(_: Context, iocb: u64, res: i64, res2: i64) {
    assert_eq!(res2, 0);
    CALLED.with_borrow_mut(|called| called.push((iocb, res)));
}

/// One of the two sides that are compared: its context and requests, which serve all sequences.
struct Side<A> {
    aio: A,
    ctx: Context,
    iocbs: Box<[Iocb; ROOM]>,
    buffer: Box<[u8; 128]>,
    zero: c_int,
}

impl<A: Aio> Side<A> {
    fn new(aio: A) -> Side<A> {
        // SAFETY: a path that is a C string.
        let zero = unsafe { libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY) };
        assert!(zero >= 0);
        let mut side = Side {
            aio,
            ctx: null_mut(),
            iocbs: Box::default(),
            buffer: Box::new([0; 128]),
            zero,
        };
        assert_eq!(side.aio.setup(1, &mut side.ctx), 0);
        side
    }

    fn number_of(&self, obj: u64) -> usize {
        (obj as usize - self.iocbs.as_ptr() as usize) / size_of::<Iocb>()
    }

    /// Makes a call while so many completions are ready.
    fn perform(&mut self, call: &Call, ready: usize) -> Answer {
        let mut events = [Event {
            res: UNTOUCHED,
            ..Event::default()
        }; ROOM];
        let place = |room: bool, events: &mut [Event; ROOM]| match room {
            true => events.as_mut_ptr(),
            false => null_mut(),
        };
        let short = timespec {
            tv_sec: 0,
            tv_nsec: 1000,
        };
        let negative = timespec {
            tv_sec: -1,
            tv_nsec: 0,
        };
        let zero = timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Nothing completes meanwhile, so no call may wait for more than is ready.
        let timeout = |time: Time, min_nr: c_long| match time {
            Time::Zero => &zero,
            Time::Negative if min_nr <= ready as c_long => &negative,
            Time::Forever if min_nr <= ready as c_long => null(),
            _ => &short as *const timespec,
        };
        CALLED.with_borrow_mut(Vec::clear);
        let answer = match *call {
            Call::Submit(ref lengths) => {
                let mut list = Vec::new();
                for (iocb, &length) in self.iocbs.iter_mut().zip(lengths) {
                    *iocb = Iocb {
                        data: callback as *const () as u64,
                        fd: if length < 0 { -1 } else { self.zero },
                        buffer: self.buffer.as_mut_ptr() as u64,
                        bytes: length.max(0) as u64,
                        ..Iocb::default()
                    };
                    list.push(iocb as *mut Iocb);
                }
                self.aio
                    .submit(self.ctx, list.len() as c_long, list.as_mut_ptr())
            }
            Call::Getevents(min_nr, nr, time, room) => {
                let place = place(room, &mut events);
                self.aio
                    .getevents(self.ctx, (min_nr, nr), place, timeout(time, min_nr))
            }
            Call::Pgetevents(min_nr, nr, time, room, masked) => {
                // sigset_t is larger for the C library than for the kernel.
                let none = [0_u64; 16];
                let mask = if masked { none.as_ptr() } else { null() };
                let place = place(room, &mut events);
                self.aio
                    .pgetevents(self.ctx, (min_nr, nr), place, timeout(time, min_nr), mask)
            }
            Call::QueueRun => self.aio.queue_run(self.ctx),
            Call::Cancel(number) => {
                self.aio
                    .cancel(self.ctx, &mut self.iocbs[number], &mut events[0])
            }
            Call::Destroy => {
                let answer = self.aio.destroy(self.ctx);
                self.ctx = null_mut();
                assert_eq!(self.aio.setup(1, &mut self.ctx), 0);
                answer
            }
        };
        let called = CALLED.with_borrow_mut(std::mem::take);
        let written = events
            .iter()
            .filter(|event| event.res != UNTOUCHED)
            .inspect(|event| {
                assert_eq!((event.data, event.res2), (callback as *const () as u64, 0))
            })
            .map(|event| (event.obj, event.res));
        let taken = written
            .chain(called)
            .map(|(obj, res)| (self.number_of(obj), res))
            .collect();
        (answer, taken)
    }

    fn ready(&self) -> usize {
        // SAFETY: a live context of this test, with nothing in flight.
        let header = unsafe { self.ctx.cast::<[u32; 4]>().read_volatile() };
        ((header[3] + header[1] - header[2]) % header[1]) as usize
    }
}

#[test]
fn system_calls_and_library_agree() {
    let system_calls = SystemCalls {
        // asm/unistd_64.h, asm-generic/unistd.h
        pgetevents: if cfg!(target_arch = "x86_64") {
            333
        } else {
            292
        },
    };
    if !cfg!(any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64",
        target_arch = "riscv64"
    )) {
        return support::skip("random calls", "the test has no layouts for this machine");
    }
    let raw = RefCell::new(Side::new(system_calls));
    let library = RefCell::new(Side::new(Library::open()));
    let cases = match std::env::var_os("LIBAIO_RS_LONG") {
        Some(_) => 20_000,
        None => 300,
    };
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let sequences = prop::collection::vec(call(), 1..80);
    let outcome = runner.run(&sequences, |sequence| {
        let (mut raw, mut library) = (raw.borrow_mut(), library.borrow_mut());
        // The last sequence may have left events in the ring.
        raw.perform(&Call::QueueRun, 0);
        library.perform(&Call::QueueRun, 0);
        for (step, call) in sequence.iter().enumerate() {
            let ready = raw.ready();
            prop_assert_eq!(ready, library.ready(), "in the ring before step {}", step);
            let expected = raw.perform(call, ready);
            let found = library.perform(call, ready);
            prop_assert_eq!(expected, found, "step {}: {:?}", step, call);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

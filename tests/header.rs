//! `libaio.h` is up to date with its source, compiles without a warning in every language and
//! standard that programs are written in, and has the original's types and layout.

mod support;

use std::path::Path;
use std::process::Command;
use support::{attempt, cc, foreign, has, original, ours, report, root, run, scratch, skip, text};

/// What `build.rs` generates is checked in, so that a packager needs no cbindgen to read it.
/// `make header` brings the copies up to date.
#[test]
fn generated_files_are_not_stale() {
    let generated = Path::new(env!("OUT_DIR"));
    for (name, copy) in [
        ("libaio.h", "include/libaio.h"),
        ("libaio.pc", "pkgconfig/libaio.pc"),
    ] {
        let fresh = std::fs::read_to_string(generated.join(name)).expect("build.rs wrote it");
        let copy = root().join(copy);
        if std::env::var_os("LIBAIO_RS_BLESS").is_some() {
            std::fs::write(&copy, &fresh).expect("the checkout is writable");
        }
        let checked_in = std::fs::read_to_string(&copy).unwrap_or_default();
        assert!(
            fresh == checked_in,
            "{} is stale: run `make header`",
            copy.display()
        );
    }
}

/// Includes the header twice and no other header, and uses every inline function.
const CLIENT: &str = r#"
#include <libaio.h>
#include <libaio.h>
static void called(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
    (void)ctx; (void)iocb; (void)res; (void)res2;
}
int use_all(io_context_t ctx, struct iocb *iocb, const struct iovec *vec, char *buf);
int use_all(io_context_t ctx, struct iocb *iocb, const struct iovec *vec, char *buf)
{
    io_prep_pread(iocb, 0, buf, 1, 0);
    io_prep_pwrite(iocb, 0, buf, 1, 0);
    io_prep_preadv(iocb, 0, vec, 1, 0);
    io_prep_pwritev(iocb, 0, vec, 1, 0);
    io_prep_preadv2(iocb, 0, vec, 1, 0, 0);
    io_prep_pwritev2(iocb, 0, vec, 1, 0, 0);
    io_prep_poll(iocb, 0, 1);
    io_prep_fsync(iocb, 0);
    io_prep_fdsync(iocb, 0);
    io_set_callback(iocb, called);
    io_set_eventfd(iocb, 1);
    return io_poll(ctx, iocb, called, 0, 1) + io_fsync(ctx, iocb, called, 0) +
           io_fdsync(ctx, iocb, called, 0);
}
"#;

/// Compiles code with every compiler, language and standard; a warning is an error.
fn compiles_clean(place: &Path, what: &str, code: &str, options: &[&str]) {
    let c = place.join("client.c");
    let cpp = place.join("client.cc");
    std::fs::write(&c, code).expect("scratch is writable");
    std::fs::write(&cpp, code).expect("scratch is writable");
    // With -Wpedantic only from gnu99 and C++11 on: the ABI has `long long`, which the older
    // standards do not have.
    let c_standards = [
        ("gnu89", false),
        ("gnu99", true),
        ("gnu11", true),
        ("gnu17", true),
        ("gnu2x", true),
    ];
    let cpp_standards = [
        ("c++98", false),
        ("c++11", true),
        ("c++17", true),
        ("c++20", true),
    ];
    for (compiler, source, standards) in [
        ("gcc", &c, &c_standards[..]),
        ("clang", &c, &c_standards[..]),
        ("g++", &cpp, &cpp_standards[..]),
        ("clang++", &cpp, &cpp_standards[..]),
    ] {
        if !has(compiler) {
            skip(&format!("{what} with {compiler}"), "not installed");
            continue;
        }
        for (standard, pedantic) in standards {
            let mut compile = Command::new(compiler);
            compile
                .arg(format!("-std={standard}"))
                .args(["-Wall", "-Wextra", "-Werror"])
                .args(options)
                // Not with -isystem: compilers suppress warnings about system headers.
                .arg("-I")
                .arg(&ours().include)
                .arg(source);
            if *pedantic {
                compile.arg("-Wpedantic");
            }
            run(&mut compile);
        }
    }
}

#[test]
fn compiles_clean_in_every_standard() {
    let place = scratch();
    let object = place.path().join("client.o");
    let options = ["-O2", "-c", "-o", object.to_str().expect("a plain name")];
    compiles_clean(place.path(), "the header", CLIENT, &options);
}

/// The flags that the header defines if no other header has, and their values in the kernel.
const FLAGS: [(&str, u32); 11] = [
    ("RWF_HIPRI", 0x1),
    ("RWF_DSYNC", 0x2),
    ("RWF_SYNC", 0x4),
    ("RWF_NOWAIT", 0x8),
    ("RWF_APPEND", 0x10),
    ("RWF_NOAPPEND", 0x20),
    ("RWF_ATOMIC", 0x40),
    ("RWF_DONTCACHE", 0x80),
    ("RWF_NOSIGNAL", 0x100),
    ("IOCB_FLAG_RESFD", 1),
    ("IOCB_FLAG_IOPRIO", 2),
];

/// Other headers define these flags too; any of them may be included first.
#[test]
fn flags_do_not_clash_with_other_headers_in_any_order() {
    let place = scratch();
    // The kernel's structures have the same names as libaio's: programs that need both do this.
    let kernels = "#define iocb kernel_iocb\n#define io_event kernel_io_event\n\
                   #include <linux/aio_abi.h>\n#undef iocb\n#undef io_event\n";
    // The flags as linux/fs.h of the newest kernel has them; this machine's may be older.
    let newest = place.path().join("newest.h");
    let lines = FLAGS.iter().filter(|(name, _)| name.starts_with("RWF_"));
    let lines: String = lines
        .map(|(name, value)| format!("#define {name} ((__kernel_rwf_t)0x{value:08x})\n"))
        .collect();
    std::fs::write(&newest, format!("typedef int __kernel_rwf_t;\n{lines}"))
        .expect("scratch is writable");
    // As glibc and linux/aio_abi.h define them, but in the program itself, where compilers warn of
    // a definition that differs.
    let own: String = FLAGS
        .iter()
        .map(|(name, value)| match name.starts_with("RWF_") {
            true => format!("#define {name} 0x{value:08x}\n"),
            false => format!("#define {name} (1 << {})\n", value.trailing_zeros()),
        })
        .collect();
    let (libaio, uio) = ("#include <libaio.h>\n", "#include <sys/uio.h>\n");
    let (fs, newest) = ("#include <linux/fs.h>\n", "#include <newest.h>\n");
    let orders: [&[&str]; 13] = [
        &[libaio],
        &[libaio, uio],
        &[uio, libaio],
        &[libaio, fs],
        &[fs, libaio],
        &[libaio, kernels],
        &[kernels, libaio],
        &[uio, libaio, fs],
        &[fs, libaio, uio],
        &[libaio, newest],
        &[newest, libaio],
        &[libaio, &own],
        &[&own, libaio],
    ];
    let values: String = FLAGS
        .iter()
        .map(|(name, value)| {
            format!(
                "#ifndef {name}\n#error {name}\n#endif\n\
                 extern char of_{name}[({name}) == {value} ? 1 : -1];\n"
            )
        })
        .collect();
    let system = ["-isystem", place.path().to_str().expect("a plain name")];
    for order in orders {
        let options = ["-D_GNU_SOURCE", "-fsyntax-only", system[0], system[1]];
        let code = format!("{}{values}", order.concat());
        compiles_clean(place.path(), "orders of headers", &code, &options);
    }
}

/// The probe prints every size, offset, type and constant that it finds in the header.
#[test]
fn types_and_layout_are_the_originals() {
    let Some(original) = original() else {
        return skip("header layout", "the original is not installed");
    };
    let place = scratch();
    let printed = |include: &Path| {
        let probe = place.path().join("probe");
        run(compile_probe(&[], include).arg("-o").arg(&probe));
        text(&run(&mut Command::new(&probe)).stdout)
    };
    let (theirs, mine) = (printed(&original.include), printed(&ours().include));
    assert!(
        theirs.lines().count() > 40,
        "the probe prints too little: {theirs}"
    );
    assert_eq!(theirs, mine);
}

/// Tests for any machine; `make cross-check` runs them for each.
mod on_every_machine {
    use super::*;

    /// The same for machines whose programs may not run here: the values that the probe would print
    /// are constants in its assembly code.
    #[test]
    fn layout_in_assembly_code_is_the_originals() {
        let Some(original) = original() else {
            return skip("header layout", "the original is not installed");
        };
        let place = scratch();
        let code = place.path().join("probe.s");
        // Another machine's compiler, or this machine's, also for 32-bit programs.
        let machines: &[&[&str]] = match foreign() {
            Some(_) => &[&[]],
            None => &[&[], &["-m32"], &["-mx32"]],
        };
        for machine in machines {
            let mut compiled = Vec::new();
            for include in [&original.include, &ours().include] {
                let mut compile = compile_probe(machine, include);
                let output = attempt(compile.arg("-S").arg("-o").arg(&code));
                if output.status.success() {
                    let code = std::fs::read_to_string(&code).expect("the compiler wrote it");
                    // The labels around a function have numbers that count the functions before it.
                    let same = |line: &&str| !line.contains(".LFB") && !line.contains(".LFE");
                    compiled.push(code.lines().filter(same).collect::<Vec<_>>().join("\n"));
                }
            }
            match &compiled[..] {
                [theirs, mine] => {
                    assert!(
                        mine.lines().count() >= 200,
                        "the probe prints too little: {mine}"
                    );
                    assert!(theirs == mine, "{machine:?}: another layout");
                }
                _ if machine.is_empty() => panic!("the probe does not compile"),
                _ => skip(&format!("header layout with {machine:?}"), "no such target"),
            }
        }
    }
}

fn compile_probe(options: &[&str], include: &Path) -> Command {
    let mut compile = cc();
    compile
        .args(options)
        .args(["-std=gnu11", "-O2", "-w", "-I"])
        .arg(include)
        .arg(root().join("c-tests/layout_probe.c"));
    compile
}

/// The header defines the flags, and otherwise the same macros as the original's. (Both include
/// system headers, which define more.)
#[test]
fn defines_no_other_macros() {
    let Some(original) = original() else {
        return skip("header macros", "the original is not installed");
    };
    let place = scratch();
    let client = place.path().join("client.c");
    std::fs::write(&client, "#include <libaio.h>\n").expect("scratch is writable");
    let macros = |include: &Path| {
        let output = run(cc().args(["-dM", "-E", "-I"]).arg(include).arg(&client));
        let mut names: Vec<String> = text(&output.stdout)
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .map(|name| name.split('(').next().expect("a name").to_string())
            .collect();
        names.sort();
        names
    };
    let (mut expected, flags) = (macros(&original.include), FLAGS.map(|(name, _)| name));
    expected.extend(flags.map(str::to_string));
    expected.sort();
    assert_eq!(expected, macros(&ours().include));
}

/// On 32-bit machines a program with 64-bit times calls the functions that take 64-bit times.
#[test]
fn redirects_to_the_64_bit_time_functions() {
    let place = scratch();
    let client = place.path().join("client.c");
    let object = place.path().join("client.o");
    std::fs::write(
        &client,
        "#include <libaio.h>\n#include <time.h>\n\
         int get(io_context_t c, struct io_event *e, struct timespec *t)\n\
         { return io_getevents(c, 1, 1, e, t) + io_pgetevents(c, 1, 1, e, t, 0); }\n",
    )
    .expect("scratch is writable");
    for (flags, expected) in [
        (&["-m32"][..], "io_getevents io_pgetevents"),
        (
            &["-m32", "-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"][..],
            "io_getevents_time64 io_pgetevents_time64",
        ),
        (&[][..], "io_getevents io_pgetevents"),
    ] {
        let mut compile = cc();
        compile
            .args(flags)
            .args(["-fno-pic", "-Wall", "-Wextra", "-Werror", "-c", "-I"])
            .arg(&ours().include)
            .arg("-o")
            .arg(&object)
            .arg(&client);
        let output = attempt(&mut compile);
        if !output.status.success() && flags.contains(&"-m32") {
            skip("64-bit times", "the compiler has no -m32");
            return;
        }
        assert!(output.status.success(), "{}", report(&compile, &output));
        let symbols = run(Command::new("nm")
            .args(["-u", "--format=just-symbols"])
            .arg(&object));
        let symbols = text(&symbols.stdout);
        let symbols: Vec<&str> = symbols.split_whitespace().collect();
        assert_eq!(symbols.join(" "), expected, "{flags:?}");
    }
}

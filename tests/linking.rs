//! Every way to link a program with the library, with every linker that is installed.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{attempt, cc, cxx, has, ours, report, root, run, scratch, skip, text};

const LINKERS: &[&str] = &["bfd", "gold", "lld"];

/// What c-tests/smoke.c prints.
const ANSWERS: &str = "io_setup = 0\n\
    io_submit = 1\nio_getevents = 1, res 8, the request\n\
    io_submit = 1\nio_getevents = 1, res 8, the request\n\
    read back: libaio\nio_destroy = 0\n";

/// Runs a test for each linker, with the compiler's option that chooses it.
fn with_each_linker(test: impl Fn(&str)) {
    for linker in LINKERS {
        if has(format!("ld.{linker}")) {
            test(&format!("-fuse-ld={linker}"));
        } else {
            skip(&format!("linking with ld.{linker}"), "not installed");
        }
    }
}

fn smoke() -> PathBuf {
    root().join("c-tests/smoke.c")
}

/// Compiles and links a program from the given arguments, runs it and requires its output.
#[track_caller]
fn builds_and_runs(driver: Command, arguments: &[&str], place: &Path, expected: &str) {
    let mut driver = driver;
    let program = place.join("program");
    driver
        .args(["-O2", "-I"])
        .arg(&ours().include)
        .arg("-o")
        .arg(&program)
        .args(arguments);
    run(&mut driver);
    let output = run(Command::new(&program)
        .current_dir(place)
        .env("LD_LIBRARY_PATH", ours().libdir()));
    assert_eq!(text(&output.stdout), expected, "{driver:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the paths here are UTF-8")
}

#[test]
fn into_executables() {
    let place = scratch();
    let (smoke, archive) = (smoke(), path(&ours().archive));
    let libdir = format!("-L{}", ours().libdir().display());
    let mut kinds: Vec<Vec<&str>> = vec![
        vec!["-pie", "-fPIE", path(&smoke), &libdir, "-laio"],
        vec!["-no-pie", "-fno-pie", path(&smoke), &libdir, "-laio"],
        vec!["-pie", "-fPIE", path(&smoke), archive],
        vec!["-no-pie", "-fno-pie", path(&smoke), archive],
        vec!["-static", path(&smoke), archive],
        vec!["-flto", path(&smoke), archive],
        vec!["-flto", path(&smoke), &libdir, "-laio"],
    ];
    if cfg!(target_env = "gnu") || cfg!(target_env = "musl") {
        kinds.push(vec!["-static-pie", "-fPIE", path(&smoke), archive]);
    }
    with_each_linker(|linker| {
        for kind in &kinds {
            // lld does not load gcc's plugin, and gold does not support static PIEs.
            if linker.ends_with("lld") && kind.contains(&"-flto")
                || linker.ends_with("gold") && kind.contains(&"-static-pie")
            {
                continue;
            }
            let arguments: Vec<&str> = [&[linker], &kind[..]].concat();
            builds_and_runs(cc(), &arguments, place.path(), ANSWERS);
        }
    });
    if has("clang") && has("ld.lld") {
        let arguments = ["-fuse-ld=lld", "-flto", path(&smoke), archive];
        builds_and_runs(Command::new("clang"), &arguments, place.path(), ANSWERS);
    } else {
        skip("clang -flto", "clang or lld is not installed");
    }
}

/// The original's archive cannot do this: its symbols carry versions that only its own library
/// defines.
#[test]
fn the_archive_into_another_shared_object() {
    let place = scratch();
    let plugin = place.path().join("libplugin.so");
    let source = place.path().join("plugin.c");
    std::fs::write(
        &source,
        "#include <libaio.h>\n\
         int plugin(void) { io_context_t c = 0; int r = io_setup(1, &c); \
         return r ? r : io_destroy(c); }\n",
    )
    .expect("scratch is writable");
    let main = place.path().join("main.c");
    std::fs::write(
        &main,
        "#include <stdio.h>\nint plugin(void);\n\
         int main(void) { printf(\"%d\\n\", plugin()); return 0; }\n",
    )
    .expect("scratch is writable");
    with_each_linker(|linker| {
        run(cc()
            .args([linker, "-shared", "-fPIC", "-I"])
            .arg(&ours().include)
            .args(["-Wl,-z,defs", "-Wl,-z,text", "-o"])
            .arg(&plugin)
            .arg(&source)
            .arg(&ours().archive));
        let rpath = format!("-Wl,-rpath,{}", place.path().display());
        let arguments = [linker, path(&main), path(&plugin), &rpath];
        builds_and_runs(cc(), &arguments, place.path(), "0\n");
    });
}

/// Two Rust libraries in one program clash if their panic handlers are visible.
#[test]
fn the_archive_next_to_another_rust_library() {
    let place = scratch();
    let source = place.path().join("other.rs");
    let other = place.path().join("libother.a");
    std::fs::write(
        &source,
        "#![no_std]\n\
         #[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n\
         #[no_mangle] pub extern \"C\" fn io_other(n: i32) -> i32 { n + 1 }\n",
    )
    .expect("scratch is writable");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(rustc)
        .args(["--crate-type=staticlib", "-O", "-Cpanic=abort", "-o"])
        .arg(&other)
        .arg(&source));
    let main = place.path().join("main.c");
    std::fs::write(
        &main,
        "#include <libaio.h>\n#include <stdio.h>\nint io_other(int);\n\
         int main(void) { io_context_t c = 0; int r = io_setup(1, &c); \
         printf(\"%d %d\\n\", r, io_other(41)); return 0; }\n",
    )
    .expect("scratch is writable");
    let (ours, other) = (path(&ours().archive), path(&other));
    with_each_linker(|linker| {
        for archives in [
            &[ours, other][..],
            &[other, ours],
            // All of ours, whether called or not.
            &["-Wl,--whole-archive", ours, "-Wl,--no-whole-archive", other],
        ] {
            let arguments = [&[linker, path(&main)], archives].concat();
            builds_and_runs(cc(), &arguments, place.path(), "0 42\n");
        }
    });
}

/// A program may define a function with the name of a library function that it does not use.
#[test]
fn the_archive_yields_to_the_programs_own_functions() {
    let place = scratch();
    let main = place.path().join("main.c");
    std::fs::write(
        &main,
        "#include <libaio.h>\n#include <stdio.h>\n\
         int io_queue_run(io_context_t c) { (void)c; return 77; }\n\
         int main(void) { io_context_t c = 0; int r = io_setup(1, &c); \
         printf(\"%d %d\\n\", r, io_queue_run(c)); return 0; }\n",
    )
    .expect("scratch is writable");
    with_each_linker(|linker| {
        let arguments = [linker, path(&main), path(&ours().archive)];
        builds_and_runs(cc(), &arguments, place.path(), "0 77\n");
    });
}

#[test]
fn from_cpp() {
    let place = scratch();
    let client = place.path().join("client.cc");
    std::fs::write(
        &client,
        "#include <libaio.h>\n#include <iostream>\n\
         int main() { io_context_t c = 0; std::cout << io_setup(1, &c) << io_destroy(c); }\n",
    )
    .expect("scratch is writable");
    let archive = path(&ours().archive);
    builds_and_runs(cxx(), &[path(&client), archive], place.path(), "00");
}

/// One file serves programs of either C library, because it needs neither.
#[test]
fn musl_programs() {
    if !has("musl-gcc") {
        return skip("musl programs", "musl-gcc is not installed");
    }
    let place = scratch();
    let program = place.path().join("program");
    let shared = format!("-L{}", ours().libdir().display());
    for library in [&[&shared, "-laio"][..], &["-static", path(&ours().archive)]] {
        let mut compile = Command::new("musl-gcc");
        compile
            .args(["-O2", "-I"])
            .arg(&ours().include)
            .arg("-o")
            .arg(&program)
            .arg(smoke())
            .args(library);
        let output = attempt(&mut compile);
        assert!(output.status.success(), "{}", report(&compile, &output));
        let output = run(Command::new(&program)
            .current_dir(place.path())
            .env("LD_LIBRARY_PATH", ours().libdir()));
        assert_eq!(text(&output.stdout), ANSWERS, "{library:?}");
    }
}

#[test]
fn by_dlopen() {
    let place = scratch();
    let client = place.path().join("client.c");
    std::fs::write(
        &client,
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n\
         int main(int n, char **a) { (void)n; void *l = dlopen(a[1], RTLD_NOW | RTLD_LOCAL);\n\
         if (!l) { puts(dlerror()); return 1; }\n\
         int (*destroy)(void *) = (int (*)(void *))dlsym(l, \"io_destroy\");\n\
         int (*cancel)(void *, void *) = \
         (int (*)(void *, void *))dlvsym(l, \"io_cancel\", \"LIBAIO_0.1\");\n\
         printf(\"%d %d\\n\", destroy(0), cancel(0, 0)); return dlclose(l); }\n",
    )
    .expect("scratch is writable");
    let program = place.path().join("program");
    run(cc().arg("-o").arg(&program).arg(&client).arg("-ldl"));
    for library in [&ours().shared, &support::cargo_built().to_path_buf()] {
        let output = run(Command::new(&program).arg(library));
        assert_eq!(text(&output.stdout), "-22 -14\n", "{}", library.display());
    }
}

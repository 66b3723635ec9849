//! Completions are taken from the ring without a system call, unless LIBAIO_RS_REAP=kernel is set:
//! c-tests/no_system_call.c runs under a filter that kills the process for such a system call.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use support::{
    attempt, cc, has, musl_gcc, original, ours, report, root, run, scratch, skip, text,
    Installation,
};

/// Whether build.rs found restartable sections in the CPU's file.
const REAPS: bool = cfg!(reaps_in_user_space);

/// How a program gets the library.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Linked,
    Archive,
    Static,
    StaticPie,
    MuslLinked,
    MuslStatic,
    /// A musl program with a function that only glibc has, as gcompat adds to programs for glibc.
    MuslAsGlibc,
    /// Linked with the original; ours is preloaded.
    Preloaded,
    /// The same, preloaded after the C library, whose constructor then runs after ours.
    PreloadedSecond,
    /// By dlopen(3): the program is not linked with the library, but opens an object that is.
    Opened,
    /// By dlmopen(3) in a new namespace, which has its own C library.
    OpenedInNamespace,
}

impl Way {
    /// musl registers no area for restartable sections, so there the kernel takes all completions.
    fn is_musl(self) -> bool {
        matches!(self, Way::MuslLinked | Way::MuslStatic | Way::MuslAsGlibc)
    }
}

const WAYS: [Way; 11] = [
    Way::Linked,
    Way::Archive,
    Way::Static,
    Way::StaticPie,
    Way::MuslLinked,
    Way::MuslStatic,
    Way::MuslAsGlibc,
    Way::Preloaded,
    Way::PreloadedSecond,
    Way::Opened,
    Way::OpenedInNamespace,
];

/// The ways that are possible on this machine.
fn ways() -> impl Iterator<Item = Way> {
    let has_musl = has("musl-gcc");
    if !has_musl {
        skip("the setting in musl programs", "musl-gcc is not installed");
    }
    if original().is_none() {
        skip("the setting, preloaded", "the original is not installed");
    }
    WAYS.into_iter().filter(move |way| match way {
        way if way.is_musl() => has_musl,
        Way::Preloaded | Way::PreloadedSecond => original().is_some(),
        _ => true,
    })
}

/// Opens an object and runs its main function, which is called `program`.
const OPENER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    int (*program)(void);
    void *object;

    if (getenv("FIRST"))
        setenv("LIBAIO_RS_REAP", "kernel", 1);
    object = dlmopen(getenv("NAMESPACE") ? LM_ID_NEWLM : LM_ID_BASE, "./program.so", RTLD_NOW);
    if (!object) {
        puts(dlerror());
        return 1;
    }
    *(void **)&program = dlsym(object, "program");
    return program();
}
"#;

/// A main function that sets the variable and then calls the program's own, here named `program`.
const SETTER: &str = r#"
#include <stdlib.h>
int program(void);
int main(void)
{
    static char setting[] = "LIBAIO_RS_REAP=kernel";

    if (getenv("BY_PUTENV"))
        putenv(setting);
    else
        setenv("LIBAIO_RS_REAP", "kernel", 1);
    return program();
}
"#;

/// A constructor that runs before the library's, and runs the whole program.
const EARLY: &str = r#"
#include <stdlib.h>
int program(void);
__attribute__((constructor(101))) static void early(void) { exit(program()); }
int main(void) { return 1; }
"#;

fn build(place: &Path, library: &Installation, way: Way) -> Command {
    build_with(place, library, way, None)
}

/// The same, with another main function if one is given.
fn build_with(place: &Path, library: &Installation, way: Way, main: Option<&str>) -> Command {
    let opened = matches!(way, Way::Opened | Way::OpenedInNamespace);
    let main = main.or(opened.then_some(OPENER));
    let mut compile = match way {
        way if way.is_musl() => musl_gcc(place),
        _ => cc(),
    };
    let linked_with = match way {
        Way::Preloaded | Way::PreloadedSecond => original().expect("see `ways`"),
        _ => library,
    };
    compile
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(&linked_with.include)
        .arg(root().join("c-tests/no_system_call.c"));
    if main.is_some() {
        compile.arg("-Dmain=program");
    }
    match way {
        Way::Archive => compile.arg(&library.archive),
        Way::Static | Way::MuslStatic => compile.arg("-static").arg(&library.archive),
        Way::StaticPie => compile.args(["-static-pie", "-fPIE"]).arg(&library.archive),
        // The loader obeys this in privileged programs too, unlike LD_LIBRARY_PATH.
        _ => compile
            .arg(&linked_with.shared)
            .arg(format!("-Wl,-rpath,{}", linked_with.libdir().display())),
    };
    if way == Way::MuslAsGlibc {
        let source = place.join("version.c");
        let text = "const char *gnu_get_libc_version(void) { return \"2.8\"; }\n";
        std::fs::write(&source, text).expect("scratch is writable");
        compile
            .arg(source)
            .args(["-rdynamic", "-Wno-missing-prototypes"]);
    }
    let program = place.join("program");
    let source = place.join("main.c");
    std::fs::write(&source, main.unwrap_or_default()).expect("scratch is writable");
    if opened {
        run(compile
            .args(["-shared", "-fPIC", "-o"])
            .arg(place.join("program.so")));
        run(cc().arg("-o").arg(&program).arg(source).arg("-ldl"));
    } else {
        // Compiled apart, since -Dmain=program must not rename this main function.
        let object = place.join("main.o");
        if main.is_some() {
            run(cc().args(["-fPIE", "-c", "-o"]).arg(&object).arg(source));
            compile.arg(object);
        }
        run(compile.arg("-o").arg(&program));
    }
    let mut command = Command::new(program);
    command.current_dir(place).env_remove("LIBAIO_RS_REAP");
    match way {
        Way::Preloaded => command.env("LD_PRELOAD", &library.shared),
        Way::PreloadedSecond => {
            let mut list = std::ffi::OsString::from("libc.so.6:");
            list.push(&library.shared);
            command.env("LD_PRELOAD", list)
        }
        Way::OpenedInNamespace => command.env("NAMESPACE", "1"),
        _ => &mut command,
    };
    command
}

#[track_caller]
fn assert_reaps_as_usual(command: &mut Command, way: Way) {
    let output = attempt(command);
    let expected = std::fs::read_to_string(root().join("c-tests/no_system_call.expected"))
        .expect("part of the checkout");
    if REAPS && !way.is_musl() {
        assert_eq!(
            text(&output.stdout),
            expected,
            "{}",
            report(command, &output)
        );
    } else {
        assert!(was_killed(&output), "{}", report(command, &output));
    }
}

fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(31) // SIGSYS
}

#[track_caller]
fn assert_enters_the_kernel(command: &mut Command) {
    let output = attempt(command);
    assert!(was_killed(&output), "{}", report(command, &output));
}

#[test]
fn completions_come_from_the_ring() {
    for way in ways() {
        let place = scratch();
        println!("{way:?}");
        assert_reaps_as_usual(&mut build(place.path(), ours(), way), way);
    }
}

#[test]
fn the_kernel_reaps_if_the_variable_says_so() {
    for way in ways() {
        let place = scratch();
        println!("{way:?}");
        let mut program = build(place.path(), ours(), way);
        assert_enters_the_kernel(program.env("LIBAIO_RS_REAP", "kernel"));
        for other in ["", "kerne", "kernels", "ring"] {
            assert_reaps_as_usual(program.env("LIBAIO_RS_REAP", other), way);
        }
        // Names that only begin or end like it.
        program.env_remove("LIBAIO_RS_REAP");
        for name in ["LIBAIO_RS_REA", "LIBAIO_RS_REAPS", "XLIBAIO_RS_REAP"] {
            program.env(name, "kernel");
        }
        assert_reaps_as_usual(&mut program, way);
    }
}

/// glibc can be set to register no area for restartable sections; without one no thread may take
/// completions in user space.
#[test]
fn the_kernel_reaps_without_restartable_sections() {
    for way in [Way::Linked, Way::Static, Way::Preloaded] {
        let place = scratch();
        let mut program = build(place.path(), ours(), way);
        assert_enters_the_kernel(program.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0"));
    }
}

/// The library reads the variable when it is loaded.
#[test]
fn the_variable_has_no_effect_once_the_library_is_loaded() {
    for way in ways() {
        if matches!(way, Way::Opened | Way::OpenedInNamespace) {
            continue;
        }
        let place = scratch();
        println!("{way:?}");
        let mut program = build_with(place.path(), ours(), way, Some(SETTER));
        assert_reaps_as_usual(&mut program, way);
        assert_reaps_as_usual(program.env("BY_PUTENV", "1"), way);
    }
}

#[test]
fn the_variable_has_an_effect_before_dlopen() {
    for way in [Way::Opened, Way::OpenedInNamespace] {
        let place = scratch();
        println!("{way:?}");
        let mut program = build(place.path(), ours(), way);
        assert_enters_the_kernel(program.env("FIRST", "1"));
    }
}

#[test]
fn calls_before_the_constructor_are_served_alike() {
    for way in ways() {
        if !matches!(way, Way::Archive | Way::Static | Way::MuslStatic) {
            continue;
        }
        let place = scratch();
        println!("{way:?}");
        let mut program = build_with(place.path(), ours(), way, Some(EARLY));
        assert_reaps_as_usual(&mut program, way);
        assert_enters_the_kernel(program.env("LIBAIO_RS_REAP", "kernel"));
    }
}

#[test]
fn the_original_makes_the_system_call() {
    let Some(original) = original() else {
        return skip("the original under the filter", "it is not installed");
    };
    let place = scratch();
    assert_enters_the_kernel(&mut build(place.path(), original, Way::Linked));
}

/// A user who starts a set-user-ID program must not control how it works.
#[test]
fn a_privileged_program_ignores_the_variable() {
    for way in ways() {
        // The loader does not preload for such a program.
        if matches!(way, Way::Preloaded | Way::PreloadedSecond) {
            continue;
        }
        let place = scratch();
        println!("{way:?}");
        let mut program = build(place.path(), ours(), way);
        let file = place.path().join("program");
        // Set-group-ID: another user could not open the library in a private directory.
        const NOGROUP: u32 = 65534;
        if std::os::unix::fs::chown(&file, None, Some(NOGROUP)).is_err() {
            return skip("set-group-id programs", "only root can make them");
        }
        program.env("LIBAIO_RS_REAP", "kernel");
        assert_enters_the_kernel(&mut program);
        let set_group_id = std::fs::Permissions::from_mode(0o2755);
        std::fs::set_permissions(&file, set_group_id).expect("ours");
        assert_reaps_as_usual(&mut program, way);
    }
}

package mta

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A room is a copy of this machine in which mail servers are installed and run
// without touching it: a throw-away layer of files over the machine's own, a
// network that is nothing but loopback, and process ids of its own, so that
// whatever was started in it ends with it.
//
// A test enters its room by running itself again in there: first with the
// machine's network, to install packages, then without.
const (
	roomStage    = "MAILFAIL_ROOM"          // where the process is: "", install, inside
	roomPackages = "MAILFAIL_ROOM_PACKAGES" // what to install
	roomPrograms = "MAILFAIL_ROOM_PROGRAMS" // folder with mailfail, and mailfail-race
	roomScratch  = "MAILFAIL_ROOM_SCRATCH"  // folder outside of the layer, kept by tests that fail
)

// logDir is in the room where the scratch folder is: logs and databases belong
// on a real file system, with its inodes that are used again.
const logDir = "/srv/mailfail"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roomStage) {
	case "install":
		err = furnish()
	case "inside":
		if err = settle(); err == nil {
			os.Exit(m.Run())
		}
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "room:", err)
		os.Exit(1)
	}
}

// enter lets the test run in a room with Debian packages. It returns false in
// there, and true outside when that is done.
func enter(t *testing.T, packages ...string) bool {
	if os.Getenv(roomStage) == "inside" {
		return false
	}
	if os.Geteuid() != 0 {
		t.Fatal("mail servers need root: run this as root, on Debian")
	}
	scratch, err := os.MkdirTemp("", "mailfail-mta-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(scratch, 0o755); err != nil { // the mail servers' users pass through it
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), roomStage+"=install", roomPackages+"="+strings.Join(packages, " "),
		roomPrograms+"="+programs(t), roomScratch+"="+scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := runHere(cmd); err != nil {
		t.Fatalf("%v; logs and databases are in %s", err, scratch)
	}
	if err := os.RemoveAll(scratch); err != nil {
		t.Error(err)
	}
	return true
}

// programs builds mailfail, also with the race detector, and returns where.
func programs(t *testing.T) string {
	dir := t.TempDir()
	for _, args := range [][]string{{"-o", dir + "/mailfail"}, {"-race", "-o", dir + "/mailfail-race"}} {
		build := exec.Command("go", append(append([]string{"build"}, args...), "mailfail/cmd/mailfail")...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build mailfail: %v\n%s", err, out)
		}
	}
	return dir
}

// runHere runs a command that is killed when this process ends.
func runHere(cmd *exec.Cmd) error {
	runtime.LockOSThread() // the kernel's parent of a process is a thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// furnish lays the layer over the machine's files, installs the packages into
// it, and runs the test in it, without the machine's network and processes.
func furnish() error {
	root, err := layer()
	if err != nil {
		return err
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("enter %s: %w", root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// Nothing that is installed may start by itself.
	if err := os.WriteFile("/usr/sbin/policy-rc.d", []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	if err := install(strings.Fields(os.Getenv(roomPackages))); err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), roomStage+"=inside")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	return runHere(cmd)
}

// layer mounts the machine's files with a layer in memory over them that takes
// all changes, and returns where. The mounts end with this process.
func layer() (root string, err error) {
	// An empty folder that is there on every machine; what is mounted over it
	// is seen by this process alone.
	const base = "/mnt"
	if err := mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", err
	}
	if err := mount("layer", base, "tmpfs", 0, "mode=755"); err != nil {
		return "", err
	}
	upper, work, root := base+"/upper", base+"/work", base+"/root"
	for _, dir := range []string{upper, work, root} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return "", err
	}
	if err := mount("/proc", root+"/proc", "", syscall.MS_BIND, ""); err != nil {
		return "", err
	}
	if err := mount("run", root+"/run", "tmpfs", 0, "mode=755"); err != nil {
		return "", err
	}
	if err := devices(root + "/dev"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(root+logDir, 0o755); err != nil {
		return "", err
	}
	return root, mount(os.Getenv(roomScratch), root+logDir, "", syscall.MS_BIND, "")
}

// devices makes a /dev of the room's own: /dev/log belongs to its syslog.
func devices(dev string) error {
	if err := mount("dev", dev, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "random", "urandom", "tty"} {
		if err := os.WriteFile(filepath.Join(dev, name), nil, 0o666); err != nil {
			return err
		}
		if err := mount("/dev/"+name, filepath.Join(dev, name), "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dev, "shm"), 0o1777); err != nil {
		return err
	}
	return os.Symlink("/proc/self/fd", filepath.Join(dev, "fd"))
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

func install(packages []string) error {
	cmd := exec.Command("apt-get", append([]string{"-q", "-y", "--no-install-recommends", "install"}, packages...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get install %s (try apt-get update): %w\n%s", strings.Join(packages, " "), err, out)
	}
	return nil
}

// settle gives the room its own view of its processes and its loopback network
// with names for the servers, and no other name service.
func settle() error {
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, bytes.TrimSpace(out))
	}
	for name, text := range map[string]string{
		"/etc/hosts":         hosts(),
		"/etc/resolv.conf":   "",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
		"/etc/mailname":      "mx1.sender.test\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.Setenv("TZ", "UTC")
}

"""What a new container is made of: command, environment, user, root file system, mounts."""

from __future__ import annotations

import secrets

from cri import platforms
from cri.errors import InvalidArgument, NotFound, PlatformMismatch
from cri.v1 import api_pb2 as v1
from runtimes.fake import security_rules
from runtimes.fake.container import Command, Container
from runtimes.fake.files import FileSystem, Mounted, Tree, absolute
from runtimes.fake.images import PATH, Image
from runtimes.fake.process import Guest
from runtimes.fake.programs import service
from runtimes.fake.sandbox import Sandbox
from runtimes.fake.users import Accounts, User
from runtimes.fake.world import World

_NO_PROGRAM = "/entrypoint"
"""The command of an image that was made up and so has none."""


def new_container(world: World, config: v1.ContainerConfig, sandbox: Sandbox) -> Container:
    """A CREATED container that nobody knows of yet. Raises NotFound, PlatformMismatch, InvalidArgument."""
    image = _image(world, config.image.image)
    wanted = platforms.wanted(config.image.annotations, config.annotations, sandbox.config.annotations)
    if wanted is not None and not wanted.runs(image.platform):
        raise PlatformMismatch(
            f"image {config.image.image} is for {image.platform}, not for {wanted}; pull it for that platform",
            details={"image": config.image.image, "platform": str(wanted)},
        )
    security = config.linux.security_context
    security_rules.check(security, sandbox)
    root = image.root()
    accounts = Accounts(root.files["/etc/passwd"], root.files["/etc/group"])
    user = accounts.resolve(image.spec.user, security)
    cwd = absolute(config.working_dir or image.spec.workdir)
    for path, text in _sandbox_files(sandbox).items():
        root.write(path, text.encode())
    mounts = [_mounted(world, mount) for mount in config.mounts]
    if not security.privileged:
        mounts[:0] = _hidden(root, security)
    root.make_directory(cwd)
    command = Command(_args(config, image), _environment(config, image, sandbox, user), cwd, user)
    guest = Guest(
        clock=world.clock,
        files=FileSystem(root, tuple(mounts), readonly=security.readonly_rootfs),
        programs=world.programs.falling_back_to(service) if image.spec.any_program else world.programs,
        network=sandbox.endpoint,
        hostname=sandbox.hostname,
        architecture=image.platform.architecture,
        memory_limit=config.linux.resources.memory_limit_in_bytes,
        init_rules=world.config.init_ignores_signals,
    )
    return Container(secrets.token_hex(32), config, sandbox, image, command, guest, world.clock, world.exited)


def _image(world: World, name: str) -> Image:
    image = world.images.find(name)
    if image is None:
        raise NotFound(f"image {name!r} is not here; pull it first", details={"image": name})
    return image


def _args(config: v1.ContainerConfig, image: Image) -> tuple[str, ...]:
    """CRI: a command replaces the image's entrypoint and with it the image's arguments."""
    if config.command:
        return (*config.command, *config.args)
    args = (*image.spec.entrypoint, *(config.args or image.spec.cmd))
    if not args and image.spec.any_program:
        return (_NO_PROGRAM,)
    if not args:
        raise InvalidArgument(f"config.command: there is none, and image {config.image.image!r} names none either")
    return args


def _environment(config: v1.ContainerConfig, image: Image, sandbox: Sandbox, user: User) -> dict[str, str]:
    name, _, path = PATH.partition("=")
    env = {name: path, "HOSTNAME": sandbox.hostname, "HOME": user.home}
    if config.tty:
        env["TERM"] = "xterm"
    env |= image.spec.env
    return env | {pair.key: pair.value.decode(errors="surrogateescape") for pair in config.envs}


def _sandbox_files(sandbox: Sandbox) -> dict[str, str]:
    """The files by which a sandbox tells its containers about itself."""
    dns = sandbox.config.dns_config
    lines = [f"nameserver {server}" for server in dns.servers]
    lines += [f"search {' '.join(dns.searches)}"] if dns.searches else []
    lines += [f"options {' '.join(dns.options)}"] if dns.options else []
    hosts = ["127.0.0.1\tlocalhost", *sandbox.endpoint.hosts_lines()]
    files = {
        "/etc/hostname": sandbox.hostname + "\n",
        "/etc/hosts": "".join(f"{line}\n" for line in hosts),
        "/etc/resolv.conf": "".join(f"{line}\n" for line in lines),
    }
    for name, value in sandbox.config.linux.sysctls.items():
        files[f"/proc/sys/{name.replace('.', '/')}"] = value + "\n"
    return files


def _mounted(world: World, mount: v1.Mount) -> Mounted:
    target = absolute(mount.container_path)
    if mount.image.image:
        tree, source = _image(world, mount.image.image).root(), absolute(mount.image_sub_path)
        if source not in tree.directories and source not in tree.files:
            raise InvalidArgument(f"config.mounts: image {mount.image.image!r} has no {mount.image_sub_path!r}")
        return Mounted(target, tree, source, readonly=True)
    tree, source = world.host_files, absolute(mount.host_path)
    if source not in tree.files:
        tree.make_directory(source)
    return Mounted(target, tree, source, mount.readonly)


def _hidden(root: Tree, security: v1.LinuxContainerSecurityContext) -> list[Mounted]:
    """Masked paths look empty, read-only paths refuse to be written; those that the image lacks are passed over."""
    found: list[Mounted] = []
    for path in map(absolute, security.masked_paths):
        if path in root.files:
            found.append(Mounted(path, Tree.of({path: b""}), path, readonly=True))
        elif path in root.directories:
            found.append(Mounted(path, Tree(), readonly=True))
    readonly = [
        path for path in map(absolute, security.readonly_paths) if path in root.files or path in root.directories
    ]
    return found + [Mounted(path, root, path, readonly=True) for path in readonly]

/* The one table of figures: what `muster stats` reads from a sample, what it works out of it, and
 * how each is called, counted and explained. Decoding, names, units, JSON and docs/stats.md follow
 * it.
 *
 * X(id, name, section, wire, type, unit, help): wire is where proto/PROTOCOL.md has it: for a host
 * the path inside its section's data, for a row its column in the section's table; NULL: derived.
 * Names with the same beginning stand together: JSON nests them by their dots. Private to
 * controller/stats.
 */
#ifndef CONTROLLER_STATS_FIGURE_TABLE_H
#define CONTROLLER_STATS_FIGURE_TABLE_H

/* clang-format off */

/* The modes of CPU time, for the machine (prefix CPU) and for each of its CPUs (PERCPU). The order
 * is that of the wire, and of rates.c. */
#define CPU_MODES(X, P, N, S, W)                                                                   \
    X(P##_USER, N ".user", S, NULL, F64, PERCENT, "time in user mode, guests included")           \
    X(P##_NICE, N ".nice", S, NULL, F64, PERCENT, "time in user mode at low priority")            \
    X(P##_SYSTEM, N ".system", S, NULL, F64, PERCENT, "time in the kernel")                       \
    X(P##_IDLE, N ".idle", S, NULL, F64, PERCENT, "time doing nothing")                           \
    X(P##_IOWAIT, N ".iowait", S, NULL, F64, PERCENT, "time idle while something waits for a disk") \
    X(P##_IRQ, N ".irq", S, NULL, F64, PERCENT, "time serving interrupts")                        \
    X(P##_SOFTIRQ, N ".softirq", S, NULL, F64, PERCENT, "time serving soft interrupts")           \
    X(P##_STEAL, N ".steal", S, NULL, F64, PERCENT, "time that the hypervisor gave to others")    \
    X(P##_GUEST, N ".guest", S, NULL, F64, PERCENT, "time running guests, part of user")          \
    X(P##_GUEST_NICE, N ".guest_nice", S, NULL, F64, PERCENT, "time running guests, part of nice") \
    X(P##_T_USER, N ".times.user", S, W "user", U64, TICKS, "the same since boot")                \
    X(P##_T_NICE, N ".times.nice", S, W "nice", U64, TICKS, "the same since boot")                \
    X(P##_T_SYSTEM, N ".times.system", S, W "system", U64, TICKS, "the same since boot")          \
    X(P##_T_IDLE, N ".times.idle", S, W "idle", U64, TICKS, "the same since boot")                \
    X(P##_T_IOWAIT, N ".times.iowait", S, W "iowait", U64, TICKS, "the same since boot")          \
    X(P##_T_IRQ, N ".times.irq", S, W "irq", U64, TICKS, "the same since boot")                   \
    X(P##_T_SOFTIRQ, N ".times.softirq", S, W "softirq", U64, TICKS, "the same since boot")       \
    X(P##_T_STEAL, N ".times.steal", S, W "steal", U64, TICKS, "the same since boot")             \
    X(P##_T_GUEST, N ".times.guest", S, W "guest", U64, TICKS, "the same since boot")             \
    X(P##_T_GUEST_NICE, N ".times.guest_nice", S, W "guest_nice", U64, TICKS, "the same since boot")

#define PRESSURE(X, P, N, W)                                                                       \
    X(P##_10, N ".avg10", PRESSURE, W ".avg10", F64, PERCENT, "share of time stalled, last 10 s") \
    X(P##_60, N ".avg60", PRESSURE, W ".avg60", F64, PERCENT, "share of time stalled, last 60 s") \
    X(P##_300, N ".avg300", PRESSURE, W ".avg300", F64, PERCENT, "share of time stalled, last 300 s") \
    X(P##_TOTAL, N ".total", PRESSURE, W ".total", U64, MICROS, "time stalled since boot")

#define HOST_FIGURES(X)                                                                            \
    X(NODENAME, "system.nodename", HOST, "nodename", TEXT, NONE, "the name the host gives itself") \
    X(SYSNAME, "system.sysname", HOST, "sysname", TEXT, NONE, "the kernel's name")                \
    X(RELEASE, "system.release", HOST, "release", TEXT, NONE, "the kernel's release")             \
    X(VERSION, "system.version", HOST, "version", TEXT, NONE, "the kernel's build")               \
    X(MACHINE, "system.machine", HOST, "machine", TEXT, NONE, "the architecture")                 \
    X(OS_ID, "system.os_id", HOST, "os_id", TEXT, NONE, "ID of os-release")                       \
    X(OS_NAME, "system.os_name", HOST, "os_name", TEXT, NONE, "PRETTY_NAME of os-release")        \
    X(VISIBILITY, "system.process_visibility", HOST, "process_visibility", TEXT, NONE, "all, or own: whose processes the agent may see") \
    X(BOOT_TIME, "boot_time", HOST, "boot_time", F64, TIME, "when the host was started")          \
    X(UPTIME, "uptime", HOST, "uptime_ms", U64, UPTIME, "time since then")                        \
    X(CLOCK_OFFSET, "clock.offset", NONE, NULL, F64, SECONDS, "its clock less ours, with the way of the sample in it") \
    X(CPU_PERCENT, "cpu.percent", CPU, NULL, F64, PERCENT, "time busy: neither idle nor iowait")   \
    CPU_MODES(X, CPU, "cpu", CPU, "times.")                                                       \
    X(CPU_LOGICAL, "cpu.logical", CPU, "logical", U64, COUNT, "CPUs online")                      \
    X(CPU_CORES, "cpu.cores", CPU, "cores", U64, COUNT, "physical cores")                         \
    X(CTX, "cpu.ctx_switches", CPU, "ctx_switches", U64, COUNT, "context switches since boot")    \
    X(CTX_RATE, "cpu.ctx_switch_rate", CPU, NULL, F64, PER_SECOND, "context switches")            \
    X(INTR, "cpu.interrupts", CPU, "interrupts", U64, COUNT, "interrupts since boot")             \
    X(INTR_RATE, "cpu.interrupt_rate", CPU, NULL, F64, PER_SECOND, "interrupts")                  \
    X(SOFTINTR, "cpu.soft_interrupts", CPU, "soft_interrupts", U64, COUNT, "soft interrupts since boot") \
    X(SYSCALLS, "cpu.syscalls", CPU, "syscalls", U64, COUNT, "always 0 on Linux")                 \
    X(FORKS, "cpu.forks", CPU, "forks", U64, COUNT, "processes and threads made since boot")      \
    X(FORK_RATE, "cpu.fork_rate", CPU, NULL, F64, PER_SECOND, "processes and threads made")       \
    X(RUNNING, "cpu.procs_running", CPU, "procs_running", U64, COUNT, "threads that run or could") \
    X(BLOCKED, "cpu.procs_blocked", CPU, "procs_blocked", U64, COUNT, "threads that wait for a disk") \
    X(LOAD1, "load1", CPU, "load1", F64, LOAD, "load average of a minute")                        \
    X(LOAD5, "load5", CPU, "load5", F64, LOAD, "load average of 5 minutes")                       \
    X(LOAD15, "load15", CPU, "load15", F64, LOAD, "load average of 15 minutes")                   \
    X(LOAD1_CPU, "load1_per_cpu", CPU, NULL, F64, LOAD, "load1 for each CPU online")              \
    X(MEM_PERCENT, "memory.percent", MEMORY, NULL, F64, PERCENT, "memory in use: all but what is available") \
    X(MEM_TOTAL, "memory.total", MEMORY, "total", U64, BYTES, "memory the kernel has")            \
    X(MEM_AVAILABLE, "memory.available", MEMORY, "available", U64, BYTES, "memory that programs can get without swapping") \
    X(MEM_USED, "memory.used", MEMORY, "used", U64, BYTES, "total less available")                \
    X(MEM_FREE, "memory.free", MEMORY, "free", U64, BYTES, "memory used for nothing")             \
    X(MEM_ACTIVE, "memory.active", MEMORY, "active", U64, BYTES, "recently used")                 \
    X(MEM_INACTIVE, "memory.inactive", MEMORY, "inactive", U64, BYTES, "not recently used")       \
    X(MEM_BUFFERS, "memory.buffers", MEMORY, "buffers", U64, BYTES, "buffers of block devices")   \
    X(MEM_CACHED, "memory.cached", MEMORY, "cached", U64, BYTES, "page cache and reclaimable slab") \
    X(MEM_SHARED, "memory.shared", MEMORY, "shared", U64, BYTES, "shared memory and tmpfs")       \
    X(MEM_SLAB, "memory.slab", MEMORY, "slab", U64, BYTES, "the kernel's own structures")         \
    X(SWAP_PERCENT, "swap.percent", SWAP, NULL, F64, PERCENT, "swap in use; 0 without swap")      \
    X(SWAP_TOTAL, "swap.total", SWAP, "total", U64, BYTES, "swap there is")                       \
    X(SWAP_USED, "swap.used", SWAP, "used", U64, BYTES, "swap in use")                            \
    X(SWAP_FREE, "swap.free", SWAP, "free", U64, BYTES, "swap left")                              \
    X(SWAP_SIN, "swap.sin", SWAP, "sin", U64, BYTES, "swapped in since boot")                     \
    X(SWAP_SOUT, "swap.sout", SWAP, "sout", U64, BYTES, "swapped out since boot")                 \
    X(SWAP_IN_RATE, "swap.in_rate", SWAP, NULL, F64, BYTES_PER_SECOND, "swapped in")              \
    X(SWAP_OUT_RATE, "swap.out_rate", SWAP, NULL, F64, BYTES_PER_SECOND, "swapped out")           \
    X(MAX_DISK, "max.disk.percent", DISK, NULL, F64, PERCENT, "disk.percent of the fullest mount that is on a device and can be written; of any that can be written where none is on a device") \
    X(MAX_DISK_MOUNT, "max.disk.mountpoint", DISK, NULL, TEXT, NONE, "which mount that is")       \
    X(MAX_FILES, "max.disk.files_percent", DISK, NULL, F64, PERCENT, "the highest disk.files_percent of these mounts") \
    X(MAX_BUSY, "max.diskio.busy", DISKIO, NULL, F64, PERCENT, "the highest diskio.busy")         \
    X(MAX_TEMP, "max.sensor.temperature", SENSORS, NULL, F64, CELSIUS, "the highest temperature") \
    X(SUM_READ, "sum.diskio.read_rate", DISKIO, NULL, F64, BYTES_PER_SECOND, "read from all physical disks; from all disks where none is") \
    X(SUM_WRITE, "sum.diskio.write_rate", DISKIO, NULL, F64, BYTES_PER_SECOND, "written to them") \
    X(SUM_RECV, "sum.net.recv_rate", NET, NULL, F64, BYTES_PER_SECOND, "received by all interfaces but loopback") \
    X(SUM_SENT, "sum.net.sent_rate", NET, NULL, F64, BYTES_PER_SECOND, "sent by them")            \
    X(SUM_ERRORS, "sum.net.error_rate", NET, NULL, F64, PER_SECOND, "errors and drops of them")   \
    X(CONN_COUNT, "connections.count", CONNECTIONS, "count", U64, COUNT, "sockets")               \
    X(CONN_CUT, "connections.truncated", CONNECTIONS, "truncated", BOOL, NONE, "there are more than were counted") \
    X(CONN_ESTABLISHED, "connections.established", CONNECTIONS, "by_status.ESTABLISHED", U64, COUNT, "TCP sockets in this state") \
    X(CONN_SYN_SENT, "connections.syn_sent", CONNECTIONS, "by_status.SYN_SENT", U64, COUNT, "TCP sockets in this state") \
    X(CONN_SYN_RECV, "connections.syn_recv", CONNECTIONS, "by_status.SYN_RECV", U64, COUNT, "TCP sockets in this state") \
    X(CONN_FIN_WAIT1, "connections.fin_wait1", CONNECTIONS, "by_status.FIN_WAIT1", U64, COUNT, "TCP sockets in this state") \
    X(CONN_FIN_WAIT2, "connections.fin_wait2", CONNECTIONS, "by_status.FIN_WAIT2", U64, COUNT, "TCP sockets in this state") \
    X(CONN_TIME_WAIT, "connections.time_wait", CONNECTIONS, "by_status.TIME_WAIT", U64, COUNT, "TCP sockets in this state") \
    X(CONN_CLOSE, "connections.close", CONNECTIONS, "by_status.CLOSE", U64, COUNT, "TCP sockets in this state") \
    X(CONN_CLOSE_WAIT, "connections.close_wait", CONNECTIONS, "by_status.CLOSE_WAIT", U64, COUNT, "TCP sockets in this state") \
    X(CONN_LAST_ACK, "connections.last_ack", CONNECTIONS, "by_status.LAST_ACK", U64, COUNT, "TCP sockets in this state") \
    X(CONN_LISTEN, "connections.listen", CONNECTIONS, "by_status.LISTEN", U64, COUNT, "TCP sockets in this state") \
    X(CONN_CLOSING, "connections.closing", CONNECTIONS, "by_status.CLOSING", U64, COUNT, "TCP sockets in this state") \
    X(CONN_NONE, "connections.none", CONNECTIONS, "by_status.NONE", U64, COUNT, "sockets without states: UDP, UNIX") \
    X(BATTERY_PERCENT, "battery.percent", SENSORS, "battery.percent", F64, PERCENT, "charge")     \
    X(BATTERY_LEFT, "battery.secsleft", SENSORS, "battery.secsleft", I64, COUNT, "seconds it will last; -1 not known, -2 plugged in") \
    X(BATTERY_PLUGGED, "battery.plugged", SENSORS, "battery.plugged", BOOL, NONE, "on mains power") \
    X(USERS_COUNT, "users.count", USERS, NULL, U64, COUNT, "sessions of users")                   \
    X(USERS_SOURCE, "users.source", USERS, "source", TEXT, NONE, "where they are from: utmp or systemd") \
    X(PROCS_TOTAL, "processes.total", PROCESSES, "total", U64, COUNT, "processes")                \
    X(PROCS_THREADS, "processes.threads", PROCESSES, "threads", U64, COUNT, "threads")            \
    X(PROCS_RUNNING, "processes.running", PROCESSES, "by_status.running", U64, COUNT, "processes in this state") \
    X(PROCS_SLEEPING, "processes.sleeping", PROCESSES, "by_status.sleeping", U64, COUNT, "processes in this state") \
    X(PROCS_DISK, "processes.disk_sleep", PROCESSES, "by_status.disk-sleep", U64, COUNT, "processes in this state") \
    X(PROCS_STOPPED, "processes.stopped", PROCESSES, "by_status.stopped", U64, COUNT, "processes in this state") \
    X(PROCS_TRACED, "processes.tracing_stop", PROCESSES, "by_status.tracing-stop", U64, COUNT, "processes in this state") \
    X(PROCS_ZOMBIE, "processes.zombie", PROCESSES, "by_status.zombie", U64, COUNT, "processes in this state") \
    X(PROCS_DEAD, "processes.dead", PROCESSES, "by_status.dead", U64, COUNT, "processes in this state") \
    X(PROCS_IDLE, "processes.idle", PROCESSES, "by_status.idle", U64, COUNT, "threads of the kernel without work") \
    X(PROCS_VISIBILITY, "processes.visibility", PROCESSES, "visibility", TEXT, NONE, "all, or own: whose processes are counted") \
    X(PROCS_RECENT, "processes.recent", PROCESSES, "recent_us", U64, MICROS, "time that process.cpu_recent and its like are of (--by cpu, --by io)") \
    X(PROCS_PARKED, "processes.parked", PROCESSES, "by_status.parked", U64, COUNT, "processes in this state") \
    PRESSURE(X, PSI_CPU_SOME, "pressure.cpu.some", "cpu.some")                                    \
    PRESSURE(X, PSI_CPU_FULL, "pressure.cpu.full", "cpu.full")                                    \
    PRESSURE(X, PSI_MEM_SOME, "pressure.memory.some", "memory.some")                              \
    PRESSURE(X, PSI_MEM_FULL, "pressure.memory.full", "memory.full")                              \
    PRESSURE(X, PSI_IO_SOME, "pressure.io.some", "io.some")                                       \
    PRESSURE(X, PSI_IO_FULL, "pressure.io.full", "io.full")                                       \
    X(CG_VERSION, "cgroup.version", CGROUP, "version", U64, COUNT, "1 or 2")                      \
    X(CG_MEM_PERCENT, "cgroup.memory_percent", CGROUP, NULL, F64, PERCENT, "memory in use, of the limit") \
    X(CG_MEM_MAX, "cgroup.memory_max", CGROUP, "memory_max", U64, BYTES, "limit of memory; none: no limit") \
    X(CG_MEM, "cgroup.memory_current", CGROUP, "memory_current", U64, BYTES, "memory in use")     \
    X(CG_QUOTA, "cgroup.cpu_quota_us", CGROUP, "cpu_quota_us", U64, MICROS, "CPU time in each period") \
    X(CG_PERIOD, "cgroup.cpu_period_us", CGROUP, "cpu_period_us", U64, MICROS, "the period")      \
    X(CG_PIDS_MAX, "cgroup.pids_max", CGROUP, "pids_max", U64, COUNT, "limit of processes")       \
    X(CG_PIDS, "cgroup.pids_current", CGROUP, "pids_current", U64, COUNT, "processes")

#define CPU_FIGURES(X)                                                                             \
    X(PERCPU_CPU, "percpu.cpu", CPU, "cpu", U64, NUMBER, "number of the CPU")                     \
    X(PERCPU_PERCENT, "percpu.percent", CPU, NULL, F64, PERCENT, "time busy: neither idle nor iowait") \
    CPU_MODES(X, PERCPU, "percpu", CPU, "")                                                       \
    X(PERCPU_FREQ, "percpu.freq_current", CPU, NULL, F64, MHZ, "frequency now")                   \
    X(PERCPU_FREQ_MIN, "percpu.freq_min", CPU, NULL, F64, MHZ, "lowest frequency")                \
    X(PERCPU_FREQ_MAX, "percpu.freq_max", CPU, NULL, F64, MHZ, "highest frequency")

/* Joined to CPU_FIGURES by the number of the CPU; never shown by itself. */
#define FREQ_FIGURES(X)                                                                            \
    X(FREQ_CPU, "freq.cpu", CPU, "cpu", U64, NUMBER, "number of the CPU")                         \
    X(FREQ_CURRENT, "freq.current", CPU, "current", F64, MHZ, "frequency now")                    \
    X(FREQ_MIN, "freq.min", CPU, "min", F64, MHZ, "lowest frequency")                             \
    X(FREQ_MAX, "freq.max", CPU, "max", F64, MHZ, "highest frequency")

#define MOUNT_FIGURES(X)                                                                           \
    X(DISK_MOUNT, "disk.mountpoint", DISK, "mountpoint", TEXT, NONE, "where it is mounted")       \
    X(DISK_DEVICE, "disk.device", DISK, "device", TEXT, NONE, "what is mounted")                  \
    X(DISK_FSTYPE, "disk.fstype", DISK, "fstype", TEXT, NONE, "file system")                      \
    X(DISK_OPTS, "disk.opts", DISK, "opts", TEXT, NONE, "options of the mount")                   \
    X(DISK_PERCENT, "disk.percent", DISK, NULL, F64, PERCENT, "space in use, of what users may fill") \
    X(DISK_TOTAL, "disk.total", DISK, "total", U64, BYTES, "space there is")                      \
    X(DISK_USED, "disk.used", DISK, "used", U64, BYTES, "space in use")                           \
    X(DISK_FREE, "disk.free", DISK, "free", U64, BYTES, "space left for users")                   \
    X(DISK_FILES_PERCENT, "disk.files_percent", DISK, NULL, F64, PERCENT, "inodes in use")        \
    X(DISK_FILES, "disk.files", DISK, "files", U64, COUNT, "inodes there are")                    \
    X(DISK_FILES_FREE, "disk.files_free", DISK, "files_free", U64, COUNT, "inodes left")          \
    X(DISK_PHYSICAL, "disk.physical", DISK, "physical", BOOL, NONE, "on a device, as psutil's disk_partitions() has it by default") \
    X(DISK_STATUS, "disk.status", DISK, "status", TEXT, NONE, "ok, or why there are no figures: timeout for a dead mount")

#define DISKIO_FIGURES(X)                                                                          \
    X(IO_NAME, "diskio.name", DISKIO, "name", TEXT, NONE, "name of the disk")                     \
    X(IO_READ_RATE, "diskio.read_rate", DISKIO, NULL, F64, BYTES_PER_SECOND, "read")              \
    X(IO_WRITE_RATE, "diskio.write_rate", DISKIO, NULL, F64, BYTES_PER_SECOND, "written")         \
    X(IO_READS, "diskio.read_ops", DISKIO, NULL, F64, PER_SECOND, "reads")                        \
    X(IO_WRITES, "diskio.write_ops", DISKIO, NULL, F64, PER_SECOND, "writes")                     \
    X(IO_BUSY, "diskio.busy", DISKIO, NULL, F64, PERCENT, "time with a request under way")        \
    X(IO_AWAIT, "diskio.await", DISKIO, NULL, F64, MILLIS, "time that a request took on average") \
    X(IO_READ_COUNT, "diskio.read_count", DISKIO, "read_count", U64, COUNT, "reads since boot")   \
    X(IO_WRITE_COUNT, "diskio.write_count", DISKIO, "write_count", U64, COUNT, "writes since boot") \
    X(IO_READ_BYTES, "diskio.read_bytes", DISKIO, "read_bytes", U64, BYTES, "read since boot")    \
    X(IO_WRITE_BYTES, "diskio.write_bytes", DISKIO, "write_bytes", U64, BYTES, "written since boot") \
    X(IO_READ_TIME, "diskio.read_time", DISKIO, "read_time", U64, MILLIS, "time of all reads since boot") \
    X(IO_WRITE_TIME, "diskio.write_time", DISKIO, "write_time", U64, MILLIS, "time of all writes since boot") \
    X(IO_READ_MERGED, "diskio.read_merged_count", DISKIO, "read_merged_count", U64, COUNT, "reads that were joined, since boot") \
    X(IO_WRITE_MERGED, "diskio.write_merged_count", DISKIO, "write_merged_count", U64, COUNT, "writes that were joined, since boot") \
    X(IO_BUSY_TIME, "diskio.busy_time", DISKIO, "busy_time", U64, MILLIS, "time with a request under way since boot") \
    X(IO_IN_FLIGHT, "diskio.in_flight", DISKIO, "in_flight", U64, COUNT, "requests under way")    \
    X(IO_WEIGHTED, "diskio.weighted_time", DISKIO, "weighted_time", U64, MILLIS, "time of all requests since boot") \
    X(IO_TOTAL, "diskio.total", DISKIO, "total", BOOL, NONE, "counts towards psutil's sum")       \
    X(IO_PHYSICAL, "diskio.physical", DISKIO, "physical", BOOL, NONE, "a device, not a partition, a volume or a loop")

#define NIC_FIGURES(X)                                                                             \
    X(NET_NAME, "net.name", NET, "name", TEXT, NONE, "name of the interface")                     \
    X(NET_RECV_RATE, "net.recv_rate", NET, NULL, F64, BYTES_PER_SECOND, "received")               \
    X(NET_SENT_RATE, "net.sent_rate", NET, NULL, F64, BYTES_PER_SECOND, "sent")                   \
    X(NET_RECV_PACKETS, "net.recv_packets", NET, NULL, F64, PER_SECOND, "packets received")       \
    X(NET_SENT_PACKETS, "net.sent_packets", NET, NULL, F64, PER_SECOND, "packets sent")           \
    X(NET_ERROR_RATE, "net.error_rate", NET, NULL, F64, PER_SECOND, "errors in both directions")  \
    X(NET_DROP_RATE, "net.drop_rate", NET, NULL, F64, PER_SECOND, "packets dropped in both directions") \
    X(NET_BYTES_SENT, "net.bytes_sent", NET, "bytes_sent", U64, BYTES, "sent since boot")         \
    X(NET_BYTES_RECV, "net.bytes_recv", NET, "bytes_recv", U64, BYTES, "received since boot")     \
    X(NET_PACKETS_SENT, "net.packets_sent", NET, "packets_sent", U64, COUNT, "packets sent since boot") \
    X(NET_PACKETS_RECV, "net.packets_recv", NET, "packets_recv", U64, COUNT, "packets received since boot") \
    X(NET_ERRIN, "net.errin", NET, "errin", U64, COUNT, "errors while receiving, since boot")     \
    X(NET_ERROUT, "net.errout", NET, "errout", U64, COUNT, "errors while sending, since boot")    \
    X(NET_DROPIN, "net.dropin", NET, "dropin", U64, COUNT, "incoming packets dropped since boot") \
    X(NET_DROPOUT, "net.dropout", NET, "dropout", U64, COUNT, "outgoing packets dropped since boot") \
    X(NET_ISUP, "net.isup", NET, "isup", BOOL, NONE, "running")                                   \
    X(NET_DUPLEX, "net.duplex", NET, "duplex", ANY, NONE, "duplex mode")                          \
    X(NET_SPEED, "net.speed", NET, "speed", U64, MBIT, "speed")                                   \
    X(NET_MTU, "net.mtu", NET, "mtu", U64, NUMBER, "largest packet in bytes")                     \
    X(NET_FLAGS, "net.flags", NET, "flags", TEXT, NONE, "flags of the interface")

#define ADDR_FIGURES(X)                                                                            \
    X(ADDR_NAME, "addr.name", ADDRS, "name", TEXT, NONE, "name of the interface")                 \
    X(ADDR_FAMILY, "addr.family", ADDRS, "family", ANY, NONE, "family of the address")            \
    X(ADDR_ADDRESS, "addr.address", ADDRS, "address", TEXT, NONE, "the address")                  \
    X(ADDR_NETMASK, "addr.netmask", ADDRS, "netmask", TEXT, NONE, "its network's mask")           \
    X(ADDR_BROADCAST, "addr.broadcast", ADDRS, "broadcast", TEXT, NONE, "broadcast address")      \
    X(ADDR_PTP, "addr.ptp", ADDRS, "ptp", TEXT, NONE, "the other end of a point-to-point interface")

#define CONNECTION_FIGURES(X)                                                                      \
    X(CON_FAMILY, "connection.family", CONNECTIONS, "family", ANY, NONE, "family of the socket")  \
    X(CON_TYPE, "connection.type", CONNECTIONS, "type", ANY, NONE, "type of the socket")          \
    X(CON_LADDR, "connection.laddr", CONNECTIONS, "laddr", TEXT, NONE, "local address")           \
    X(CON_LPORT, "connection.lport", CONNECTIONS, "lport", U64, NUMBER, "local port")             \
    X(CON_RADDR, "connection.raddr", CONNECTIONS, "raddr", TEXT, NONE, "remote address")          \
    X(CON_RPORT, "connection.rport", CONNECTIONS, "rport", U64, NUMBER, "remote port")            \
    X(CON_STATUS, "connection.status", CONNECTIONS, "status", TEXT, NONE, "state of TCP")         \
    X(CON_PID, "connection.pid", CONNECTIONS, "pid", U64, NUMBER, "process that holds it")        \
    X(CON_FD, "connection.fd", CONNECTIONS, "fd", I64, NUMBER, "its descriptor there; -1 not known")

#define SENSOR_FIGURES(X)                                                                          \
    X(SENSOR_CHIP, "sensor.chip", SENSORS, "chip", TEXT, NONE, "chip that measures")              \
    X(SENSOR_LABEL, "sensor.label", SENSORS, "label", TEXT, NONE, "what it measures")             \
    X(SENSOR_CURRENT, "sensor.current", SENSORS, "current", F64, CELSIUS, "temperature now")      \
    X(SENSOR_HIGH, "sensor.high", SENSORS, "high", F64, CELSIUS, "temperature that is high")      \
    X(SENSOR_CRITICAL, "sensor.critical", SENSORS, "critical", F64, CELSIUS, "temperature that is critical")

#define FAN_FIGURES(X)                                                                             \
    X(FAN_CHIP, "fan.chip", SENSORS, "chip", TEXT, NONE, "chip that measures")                    \
    X(FAN_LABEL, "fan.label", SENSORS, "label", TEXT, NONE, "name of the fan")                    \
    X(FAN_CURRENT, "fan.current", SENSORS, "current", F64, RPM, "turns per minute")

#define USER_FIGURES(X)                                                                            \
    X(USER_NAME, "user.name", USERS, "name", TEXT, NONE, "who is logged in")                      \
    X(USER_TERMINAL, "user.terminal", USERS, "terminal", TEXT, NONE, "on which terminal")         \
    X(USER_HOST, "user.host", USERS, "host", TEXT, NONE, "from where")                            \
    X(USER_STARTED, "user.started", USERS, "started", F64, TIME, "since when")                    \
    X(USER_PID, "user.pid", USERS, "pid", U64, NUMBER, "process of the login")

#define PROCESS_FIGURES(X)                                                                         \
    X(PROC_PID, "process.pid", PROCESSES, "pid", U64, NUMBER, "number of the process")            \
    X(PROC_PPID, "process.ppid", PROCESSES, "ppid", U64, NUMBER, "its parent's")                  \
    X(PROC_NAME, "process.name", PROCESSES, "name", TEXT, NONE, "name of the program")            \
    X(PROC_USERNAME, "process.username", PROCESSES, "username", TEXT, NONE, "who runs it")        \
    X(PROC_UID, "process.uid", PROCESSES, "uid", U64, NUMBER, "the number of that user")          \
    X(PROC_STATUS, "process.status", PROCESSES, "status", TEXT, NONE, "its state")                \
    X(PROC_CREATED, "process.create_time", PROCESSES, "create_time", F64, TIME, "when it was started") \
    X(PROC_CPU, "process.cpu_percent", PROCESSES, NULL, F64, PERCENT, "CPU time; 100 is one CPU") \
    X(PROC_CPU_USER, "process.cpu_user", PROCESSES, "cpu_user", U64, TICKS, "time in user mode so far") \
    X(PROC_CPU_SYSTEM, "process.cpu_system", PROCESSES, "cpu_system", U64, TICKS, "time in the kernel so far") \
    X(PROC_MEM_PERCENT, "process.memory_percent", PROCESSES, NULL, F64, PERCENT, "rss, of the host's memory") \
    X(PROC_RSS, "process.rss", PROCESSES, "rss", U64, BYTES, "memory in RAM")                     \
    X(PROC_VMS, "process.vms", PROCESSES, "vms", U64, BYTES, "address space")                     \
    X(PROC_THREADS, "process.num_threads", PROCESSES, "num_threads", U64, COUNT, "threads")       \
    X(PROC_READ_RATE, "process.read_rate", PROCESSES, NULL, F64, BYTES_PER_SECOND, "read from disks") \
    X(PROC_WRITE_RATE, "process.write_rate", PROCESSES, NULL, F64, BYTES_PER_SECOND, "written to disks") \
    X(PROC_READ, "process.read_bytes", PROCESSES, "read_bytes", U64, BYTES, "read from disks so far") \
    X(PROC_WRITE, "process.write_bytes", PROCESSES, "write_bytes", U64, BYTES, "written to disks so far") \
    X(PROC_CPU_RECENT, "process.cpu_recent", PROCESSES, "cpu_recent", U64, TICKS, "CPU time since the sample before (--by cpu, --by io)") \
    X(PROC_READ_RECENT, "process.read_recent", PROCESSES, "read_recent", U64, BYTES, "read from disks since then (--by io)") \
    X(PROC_WRITE_RECENT, "process.write_recent", PROCESSES, "write_recent", U64, BYTES, "written to disks since then (--by io)") \
    X(PROC_START, "process.start_ticks", PROCESSES, "start_ticks", U64, NUMBER, "start after boot in ticks: with pid its identity") \
    X(PROC_NICE, "process.nice", PROCESSES, "nice", I64, NUMBER, "niceness")                      \
    X(PROC_CPU_NUM, "process.cpu_num", PROCESSES, "cpu_num", I64, NUMBER, "CPU it ran on last")   \
    X(PROC_AFFINITY, "process.cpu_affinity", PROCESSES, "cpu_affinity", TEXT, NONE, "CPUs it may run on") \
    X(PROC_TERMINAL, "process.terminal", PROCESSES, "terminal", TEXT, NONE, "its terminal")       \
    X(PROC_SHARED, "process.shared", PROCESSES, "shared", U64, BYTES, "memory shared with others") \
    X(PROC_TEXT, "process.text", PROCESSES, "text", U64, BYTES, "memory of its code")             \
    X(PROC_DATA, "process.data", PROCESSES, "data", U64, BYTES, "memory of its data and stack")   \
    X(PROC_USS, "process.uss", PROCESSES, "uss", U64, BYTES, "memory that would be free without it (--detail)") \
    X(PROC_PSS, "process.pss", PROCESSES, "pss", U64, BYTES, "memory with its part of what is shared (--detail)") \
    X(PROC_SWAP, "process.swap", PROCESSES, "swap", U64, BYTES, "of it in swap (--detail)")       \
    X(PROC_FDS, "process.num_fds", PROCESSES, "num_fds", U64, COUNT, "open descriptors (--detail)") \
    X(PROC_EUID, "process.euid", PROCESSES, "euid", U64, NUMBER, "effective user")                \
    X(PROC_SUID, "process.suid", PROCESSES, "suid", U64, NUMBER, "saved user")                    \
    X(PROC_GID, "process.gid", PROCESSES, "gid", U64, NUMBER, "group")                            \
    X(PROC_EGID, "process.egid", PROCESSES, "egid", U64, NUMBER, "effective group")               \
    X(PROC_SGID, "process.sgid", PROCESSES, "sgid", U64, NUMBER, "saved group")                   \
    X(PROC_CTX_VOLUNTARY, "process.ctx_voluntary", PROCESSES, "ctx_voluntary", U64, COUNT, "times it gave up the CPU") \
    X(PROC_CTX_INVOLUNTARY, "process.ctx_involuntary", PROCESSES, "ctx_involuntary", U64, COUNT, "times it was made to") \
    X(PROC_CHILD_USER, "process.cpu_children_user", PROCESSES, "cpu_children_user", U64, TICKS, "time in user mode of children that ended") \
    X(PROC_CHILD_SYSTEM, "process.cpu_children_system", PROCESSES, "cpu_children_system", U64, TICKS, "time in the kernel of children that ended") \
    X(PROC_IOWAIT, "process.cpu_iowait", PROCESSES, "cpu_iowait", U64, TICKS, "time it waited for disks, where the kernel counts it") \
    X(PROC_MINOR, "process.minor_faults", PROCESSES, "minor_faults", U64, COUNT, "page faults without a disk") \
    X(PROC_MAJOR, "process.major_faults", PROCESSES, "major_faults", U64, COUNT, "page faults with one") \
    X(PROC_READS, "process.read_count", PROCESSES, "read_count", U64, COUNT, "read calls so far")  \
    X(PROC_WRITES, "process.write_count", PROCESSES, "write_count", U64, COUNT, "write calls so far") \
    X(PROC_READ_CHARS, "process.read_chars", PROCESSES, "read_chars", U64, BYTES, "read from anywhere so far") \
    X(PROC_WRITE_CHARS, "process.write_chars", PROCESSES, "write_chars", U64, BYTES, "written to anywhere so far") \
    X(PROC_IONICE, "process.ionice_class", PROCESSES, "ionice_class", U64, NUMBER, "class of disk priority (--detail)") \
    X(PROC_IONICE_VALUE, "process.ionice_value", PROCESSES, "ionice_value", U64, NUMBER, "disk priority in its class (--detail)") \
    X(PROC_EXE, "process.exe", PROCESSES, "exe", TEXT, NONE, "the program's file (--detail)")     \
    X(PROC_CWD, "process.cwd", PROCESSES, "cwd", TEXT, NONE, "its folder (--detail)")             \
    X(PROC_CMDLINE, "process.cmdline", PROCESSES, "cmdline", TEXT, NONE, "command line")

#define MEMINFO_FIGURES(X)                                                                         \
    X(MEMINFO_NAME, "meminfo.name", MEMORY, "name", TEXT, NONE, "name in /proc/meminfo")          \
    X(MEMINFO_VALUE, "meminfo.value", MEMORY, "value", U64, COUNT, "bytes, or a count of pages for HugePages_*")

#define VMSTAT_FIGURES(X)                                                                          \
    X(VMSTAT_NAME, "vmstat.name", MEMORY, "name", TEXT, NONE, "name in /proc/vmstat")             \
    X(VMSTAT_VALUE, "vmstat.value", MEMORY, "value", U64, COUNT, "the kernel's count")

/* kind, list, section of its table, the table's name there ("" for the host itself), most rows, what
 * a line of it stands for, the columns that are shown of it */
#define KIND_TABLE(K)                                                                              \
    K(HOST, HOST_FIGURES, NONE, "", 1, "a host", "cpu.percent,load1,memory.percent,swap.percent,max.disk.percent,max.disk.mountpoint,sum.net.recv_rate,sum.net.sent_rate,uptime") \
    K(CPU, CPU_FIGURES, CPU, "percpu", 1024, "a CPU", "percpu.cpu,percpu.percent,percpu.user,percpu.system,percpu.iowait,percpu.steal,percpu.freq_current") \
    K(FREQ, FREQ_FIGURES, CPU, "freq", 1024, "a CPU", "freq.cpu,freq.current,freq.min,freq.max")  \
    K(MOUNT, MOUNT_FIGURES, DISK, "mounts", 256, "a mount", "disk.mountpoint,disk.percent,disk.used,disk.free,disk.total,disk.files_percent,disk.fstype") \
    K(DISKIO, DISKIO_FIGURES, DISKIO, "disks", 512, "a disk", "diskio.name,diskio.read_rate,diskio.write_rate,diskio.read_ops,diskio.write_ops,diskio.busy,diskio.await") \
    K(NIC, NIC_FIGURES, NET, "nics", 512, "an interface", "net.name,net.recv_rate,net.sent_rate,net.recv_packets,net.sent_packets,net.error_rate,net.drop_rate,net.speed,net.isup") \
    K(ADDR, ADDR_FIGURES, ADDRS, "addrs", 512, "an address", "addr.name,addr.family,addr.address,addr.netmask") \
    K(CONNECTION, CONNECTION_FIGURES, CONNECTIONS, "connections", 4096, "a connection", "connection.family,connection.type,connection.laddr,connection.lport,connection.raddr,connection.rport,connection.status,connection.pid") \
    K(SENSOR, SENSOR_FIGURES, SENSORS, "temperatures", 256, "a sensor", "sensor.chip,sensor.label,sensor.current,sensor.high,sensor.critical") \
    K(FAN, FAN_FIGURES, SENSORS, "fans", 256, "a fan", "fan.chip,fan.label,fan.current")          \
    K(USER, USER_FIGURES, USERS, "users", 512, "a user's session", "user.name,user.terminal,user.host,user.started") \
    K(PROCESS, PROCESS_FIGURES, PROCESSES, "processes", 1000, "a process", "process.pid,process.name,process.username,process.cpu_percent,process.memory_percent,process.rss,process.read_rate,process.write_rate,process.cmdline") \
    K(MEMINFO, MEMINFO_FIGURES, MEMORY, "meminfo", 128, "a line of /proc/meminfo", "meminfo.name,meminfo.value") \
    K(VMSTAT, VMSTAT_FIGURES, MEMORY, "vmstat", 256, "a line of /proc/vmstat", "vmstat.name,vmstat.value")

/* section, name, the kind of line it is shown as when it alone is asked for, the columns of a host's
 * line otherwise (NULL: it has no figures of the host), whether a document has it without asking */
#define SECTION_TABLE(S)                                                                           \
    S(HOST, "host", HOST, "uptime,system.os_name,system.release,system.machine", true)            \
    S(CPU, "cpu", HOST, "cpu.percent,cpu.user,cpu.system,cpu.iowait,cpu.steal,load1,cpu.logical", true) \
    S(MEMORY, "memory", HOST, "memory.percent,memory.available,memory.total", true)               \
    S(SWAP, "swap", HOST, "swap.percent,swap.used,swap.in_rate,swap.out_rate", true)              \
    S(DISK, "disk", MOUNT, "max.disk.percent,max.disk.mountpoint", true)                          \
    S(DISKIO, "diskio", DISKIO, "sum.diskio.read_rate,sum.diskio.write_rate,max.diskio.busy", true) \
    S(NET, "net", NIC, "sum.net.recv_rate,sum.net.sent_rate,sum.net.error_rate", true)            \
    S(ADDRS, "addrs", ADDR, NULL, true)                                                           \
    S(CONNECTIONS, "connections", HOST, "connections.count,connections.established,connections.listen,connections.time_wait,connections.close_wait", false) \
    S(SENSORS, "sensors", SENSOR, "max.sensor.temperature", true)                                 \
    S(USERS, "users", USER, "users.count", true)                                                  \
    S(PROCESSES, "processes", HOST, "processes.total,processes.threads,processes.running,processes.disk_sleep,processes.zombie", false) \
    S(PRESSURE, "pressure", HOST, "pressure.cpu.some.avg10,pressure.memory.some.avg10,pressure.io.some.avg10", true) \
    S(CGROUP, "cgroup", HOST, "cgroup.memory_percent,cgroup.memory_current,cgroup.memory_max,cgroup.pids_current,cgroup.pids_max", true)

/* clang-format on */

#endif

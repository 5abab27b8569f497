import type { Machine } from './machine.ts';
import { STATES } from './processes.ts';
import { plain } from './yaml-scalar.ts';

/** The `machine` block, whose lines stand one level in. */
export function machineLines(machine: Machine): string {
  const { memory, cpu, load, processes } = machine;
  const states = (prefix: string, counts: Machine['processes']['states']) =>
    STATES.filter((state) => counts[state] > 0).map((state) => `${prefix}_${state}: ${counts[state]}`);
  const lines = [
    `page-size: ${machine.pageSize}`,
    `uname_system: ${plain(machine.system)}`,
    `uname_nodename: ${plain(machine.node)}`,
    `uname_release: ${release(machine.release)}`,
    `uname_machine: ${plain(machine.hardware)}`,
    `ram_total: ${memory.total}`,
    `ram_free: ${memory.free}`,
    `ram_shared: ${memory.shared}`,
    `ram_buffer: ${memory.buffer}`,
    `swap_total: ${memory.swapTotal}`,
    `swap_free: ${memory.swapFree}`,
    `cpu_count: ${cpu.count}`,
    `cpu_speed: ${cpu.speed}`,
    `cpu_vendor: ${cpu.vendor === '' ? '' : plain(cpu.vendor)}`,
    `cpu_model: ${cpu.model === '' ? '' : plain(cpu.model)}`,
    `load_min1: ${(load[0] ?? 0).toFixed(2)}`,
    `load_min5: ${(load[1] ?? 0).toFixed(2)}`,
    `load_min15: ${(load[2] ?? 0).toFixed(2)}`,
    `procs_total: ${processes.total}`,
    ...states('procs', processes.states),
    `procs_vmsize: ${processes.vmsize}`,
    `procs_rss: ${processes.rss}`,
    `task_total: ${processes.tasks.total}`,
    ...states('task', processes.tasks.states),
  ];
  return `  machine:\n${lines.map((line) => `    ${line}\n`).join('')}`;
}

/** As the kernel has it, `6.18.44-fc`; what would read as a number is quoted. */
const release = (text: string): string => (/^\d+\.\d+\.\d[\w.+~-]*$/.test(text) ? text : plain(text));

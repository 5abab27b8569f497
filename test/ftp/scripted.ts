import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterwards } from '../faults/scene.ts';

/** One control connection of the scripted server. */
export interface Dialogue {
  /** Writes lines as they are. True, so that it can be the whole of an answer. */
  say(text: string): true;
  /** The next data connection, once the client has made it. */
  data(): Promise<Socket>;
  readonly control: Socket;
  /** Names of this connection's RNFR and REST. */
  from: string;
  rest: number;
}

/** Answers one command in place of the correct server. False: it is answered correctly after all. */
export type Answer = (
  dialogue: Dialogue,
  argument: string,
) => boolean | undefined | Promise<boolean | undefined>;

export interface ScriptedFtp {
  readonly url: string;
  readonly port: number;
  readonly files: Map<string, Buffer>;
  /** Every command line, in order; PASS too. */
  readonly commands: string[];
  /** Control connections made so far. */
  connections(): number;
  /** Control connections that are open. */
  open(): number;
}

export interface Script {
  /** By command: `RETR`, or `GREETING` for the beginning. */
  readonly answers?: Readonly<Record<string, Answer>>;
  readonly files?: Readonly<Record<string, Buffer>>;
  /** Lines of FEAT. */
  readonly features?: readonly string[];
  readonly modified?: string;
  /** Of loopback. */
  readonly address?: '127.0.0.1' | '::1';
  /** TLS from the first byte, on every connection. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

const FEATURES = ['EPSV', 'MDTM', 'MLST type*;size*;modify*;', 'REST STREAM', 'SIZE', 'UTF8'];

/** A correct FTP server in this process, but for what the script answers. Gone after the test. */
export async function scriptedFtp(script: Script = {}): Promise<ScriptedFtp> {
  const files = new Map(Object.entries(script.files ?? {}));
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  let connections = 0;
  let open = 0;
  const address = script.address ?? '127.0.0.1';
  const modified = script.modified ?? '20200101000000';

  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };

  async function listen(onConnection: (socket: Socket) => void): Promise<number> {
    const options = { allowHalfOpen: true, noDelay: true };
    const server = script.tls
      ? createTlsServer({ ...options, ...script.tls }, onConnection)
      : createServer(options, onConnection);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, address, resolve));
    return (server.address() as AddressInfo).port;
  }

  function converse(control: Socket): void {
    connections += 1;
    open += 1;
    track(control);
    control.on('close', () => {
      open -= 1;
    });
    let waiting: Promise<Socket> = new Promise(() => {});
    const say = (text: string): true => {
      control.write(`${text}\r\n`, 'latin1');
      return true;
    };
    const dialogue: Dialogue = { say, data: () => waiting, control, from: '', rest: 0 };
    const passive = async () => {
      let arrived: (socket: Socket) => void = () => {};
      waiting = new Promise((resolve) => {
        arrived = resolve;
      });
      return listen((socket) => {
        track(socket);
        arrived(socket);
      });
    };
    const correct: Readonly<Record<string, (argument: string) => unknown>> = {
      USER: () => say('331 password'),
      PASS: () => say('230 in'),
      FEAT: () =>
        say(['211-Features', ...(script.features ?? FEATURES).map((f) => ` ${f}`), '211 End'].join('\r\n')),
      OPTS: () => say('200 set'),
      PBSZ: () => say('200 size'),
      PROT: () => say(script.tls ? '200 private' : '500 what?'),
      TYPE: () => say('200 type'),
      PWD: () => say('257 "/" is here'),
      NOOP: () => say('200 nothing'),
      CWD: (path) => say(path === '/' ? '250 there' : '550 no such directory'),
      SIZE: (path) => say(files.has(path) ? `213 ${files.get(path)?.length}` : '550 no such file'),
      MDTM: (path) => say(files.has(path) ? `213 ${modified}` : '550 no such file'),
      MLST: (path) =>
        say(
          files.has(path)
            ? `250-begin\r\n type=file;size=${files.get(path)?.length};modify=${modified}; ${path}\r\n250 end`
            : '550 cannot be listed',
        ),
      EPSV: async () => say(`229 extended (|||${await passive()}|)`),
      PASV: async () => {
        const port = await passive();
        // An address that is not ours: behind NAT, or worse.
        say(`227 passive (10,1,2,3,${port >> 8},${port & 255})`);
      },
      REST: (at) => {
        dialogue.rest = Number(at);
        say('350 from there');
      },
      RETR: async (path) => {
        const content = files.get(path);
        if (!content) return say('550 no such file');
        say('150 coming');
        const data = await waiting;
        data.end(content.subarray(dialogue.rest));
        dialogue.rest = 0;
        await new Promise((resolve) => data.once('finish', resolve));
        say('226 that was it');
      },
      STOR: (path) => receive(path, dialogue.rest),
      APPE: (path) => receive(path, files.get(path)?.length ?? 0),
      MLSD: async () => {
        say('150 coming');
        const lines = [...files].map(
          ([path, c]) => `type=file;size=${c.length};modify=${modified}; ${path.slice(1)}\r\n`,
        );
        (await waiting).end(lines.join(''), 'latin1');
        say('226 done');
      },
      RNFR: (path) => {
        dialogue.from = path;
        say(files.has(path) ? '350 to what' : '550 no such file');
      },
      RNTO: (path) => {
        const content = files.get(dialogue.from);
        if (!content) return say('550 no such file');
        files.delete(dialogue.from);
        files.set(path, content);
        say('250 renamed');
      },
      DELE: (path) => say(files.delete(path) ? '250 gone' : '550 no such file'),
      RMD: () => say('550 no such directory'),
      MKD: () => say('257 made'),
    };

    async function receive(path: string, at: number): Promise<void> {
      dialogue.rest = 0;
      const before = (files.get(path) ?? Buffer.alloc(0)).subarray(0, at);
      say('150 go on');
      const data = await waiting;
      const chunks: Buffer[] = [before];
      files.set(path, before);
      try {
        for await (const chunk of data) {
          chunks.push(chunk);
          files.set(path, Buffer.concat(chunks));
        }
        data.end();
        say('226 have it');
      } catch {
        say('426 broken off');
      }
    }

    let rest = '';
    let last: Promise<unknown> = Promise.resolve();
    control.setEncoding('latin1');
    control.on('end', () => control.end());
    control.on('data', (text: string) => {
      rest += text;
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        commands.push(line);
        const [, name = '', argument = ''] = /^(\S*) ?(.*)$/s.exec(line) ?? [];
        last = last.then(async () => {
          if ((await script.answers?.[name]?.(dialogue, argument)) === true) return;
          const answer = correct[name];
          await (answer ? answer(argument) : say('500 what?'));
        });
      }
    });
    void (async () => {
      if ((await script.answers?.GREETING?.(dialogue, '')) !== true) say('220 scripted');
    })();
  }

  const port = await listen(converse);
  afterwards(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  });
  return {
    url: `${script.tls ? 'ftps' : 'ftp'}://${address === '::1' ? '[::1]' : address}:${port}`,
    port,
    files,
    commands,
    connections: () => connections,
    open: () => open,
  };
}

/** Answers so the first `times` times, correctly after that. */
export function first(times: number, answer: Answer): Answer {
  let left = times;
  return (dialogue, argument) => {
    if (left <= 0) return false;
    left -= 1;
    return answer(dialogue, argument);
  };
}

/** Answers with these lines. */
export function saying(text: string): Answer {
  return ({ say }) => {
    say(text);
    return true;
  };
}

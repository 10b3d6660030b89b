/** Keeps one embedded Postgres running for as long as this process uses it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { AppError } from '../../errors.ts';
import type { DbLog } from '../log.ts';
import { SUPERUSER } from './cluster.ts';
import {
  type Address,
  findPostmaster,
  type Launched,
  type LaunchOptions,
  launch,
  removeStaleLocks,
  shutDown,
} from './postmaster.ts';

/** Long enough for the recovery of a crashed database. */
const START_TIMEOUT_MS = 120_000;
const MIN_POLL_MS = 15;
const MAX_POLL_MS = 250;
const RETRY_MS = 1_000;
const DATABASE = 'alignsae';
/** Advisory lock, in the `postgres` database, that everyone who uses this Postgres holds in shared mode. */
const USERS_LOCK = 7_021_801;

export interface KeeperOptions {
  log: DbLog;
  launch: LaunchOptions;
  /** Where there is no unix socket. */
  password: string | undefined;
}

export class Keeper {
  private readonly log: DbLog;
  private launchOptions: LaunchOptions;
  private readonly password: string | undefined;
  private launched: Launched | null = null;
  private presence: Client | null = null;
  private recovering: Promise<void> = Promise.resolve();
  private stopped: Promise<void> | null = null;

  constructor(options: KeeperOptions) {
    this.log = options.log;
    this.launchOptions = options.launch;
    this.password = options.password;
  }

  /** Resolves when Postgres accepts connections and the database exists; true if it was running already. */
  async start(): Promise<boolean> {
    try {
      await this.reach();
    } catch (error) {
      await this.stop();
      throw error;
    }
    await this.presence!.query(`create database ${DATABASE}`).catch((error) => {
      // 42P04 exists already; 23505 another process is making it at the same time.
      if (error.code !== '42P04' && error.code !== '23505') throw error;
    });
    const adopted = this.launched === null;
    this.log.info({ cluster: this.launchOptions.cluster, adopted }, 'embedded Postgres is ready');
    return adopted;
  }

  connectionString(): string {
    const { host, port } = this.launchOptions.listen;
    const user = this.password === undefined ? SUPERUSER : `${SUPERUSER}:${this.password}`;
    return `postgresql://${user}@${encodeURIComponent(host)}:${port}/${DATABASE}`;
  }

  /** Gives Postgres up, and shuts it down if nobody else uses it. */
  stop(): Promise<void> {
    this.stopped ??= this.leave();
    return this.stopped;
  }

  private async leave(): Promise<void> {
    await this.recovering;
    const client = this.presence;
    // If it does not answer, whoever started it stops it; whoever else uses it brings it back.
    const last = client ? await isLastUser(client).catch(() => null) : null;
    if (last ?? this.liveChild() !== null) {
      const { cluster } = this.launchOptions;
      const running = await findPostmaster(cluster);
      if (running) await shutDown(cluster, running);
      const child = this.liveChild();
      // It keeps nobody running, who would end here without having waited where nothing else does.
      child?.ref();
      if (child?.kill('SIGINT')) await once(child, 'exit');
    }
    await client?.end().catch(() => undefined);
  }

  /** The postmaster that this process started, until it has exited. */
  private liveChild(): ChildProcess | null {
    const child = this.launched?.child;
    return child && child.exitCode === null && child.signalCode === null ? child : null;
  }

  /** Connects to the running Postgres, starting one where there is none. */
  private async reach(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let cause: unknown;
    for (let pollMs = MIN_POLL_MS; !this.stopped; pollMs = Math.min(1.2 * pollMs, MAX_POLL_MS)) {
      const running = await findPostmaster(this.launchOptions.cluster);
      if (!running) await this.launchOnce();
      else if (running.host) {
        cause = await this.join(running).catch((error) => error);
        if (cause === undefined) return;
        if (isFinal(cause)) throw this.failure('refuses this server', cause);
      }
      if (Date.now() > deadline) throw this.failure(`did not answer in ${START_TIMEOUT_MS / 1000} s`, cause);
      await delay(pollMs);
    }
  }

  /** Starts a postmaster, unless the one started before is still on its way. */
  private async launchOnce(): Promise<void> {
    if (this.liveChild()) return;
    if (this.launched?.child.exitCode) {
      const output = await this.launched.readOutput();
      // Somebody else was faster, or the backends of a killed postmaster are not gone yet: both pass.
      if (!/lock file ".*" already exists|still in use/.test(output)) throw this.failure(`said: ${output}`);
    }
    await removeStaleLocks(this.launchOptions.cluster, this.launchOptions.listen);
    this.launched = await launch(this.launchOptions);
  }

  private async join(running: Address & { pid: number }): Promise<void> {
    const client = new Client({
      host: running.host,
      port: running.port,
      user: SUPERUSER,
      password: this.password,
      database: 'postgres',
      application_name: 'alignsae keeper',
      connectionTimeoutMillis: 10_000,
    });
    let lost = false;
    const onLost = () => {
      if (lost || this.presence !== client) return;
      lost = true;
      this.presence = null;
      if (!this.stopped) this.recovering = this.recover();
    };
    client.on('error', onLost).on('end', onLost);
    try {
      await client.connect();
      // Waits while the last user is shutting Postgres down, and then fails with it.
      await client.query('select pg_advisory_lock_shared($1)', [USERS_LOCK]);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    this.presence = client;
    this.launchOptions = { ...this.launchOptions, listen: { host: running.host, port: running.port } };
    if (this.launched?.child.pid !== running.pid) this.launched = null;
  }

  /** Postgres died, or was stopped behind our back: the server goes on as soon as it is there again. */
  private async recover(): Promise<void> {
    this.log.warn({ cluster: this.launchOptions.cluster }, 'embedded Postgres went away; bringing it back');
    while (!this.stopped && !this.presence) {
      try {
        await this.reach();
        if (this.presence) this.log.info({}, 'embedded Postgres is back');
      } catch (error) {
        this.log.error({ err: error }, 'embedded Postgres could not be brought back; trying again');
        await delay(RETRY_MS);
      }
    }
  }

  private failure(what: string, cause?: unknown): AppError {
    const { cluster, logFile } = this.launchOptions;
    const reason = cause instanceof Error ? `: ${cause.message}` : '';
    const message = `the Postgres on ${cluster} ${what}${reason} (its log is ${logFile})`;
    return new AppError('UNAVAILABLE', message, { cause });
  }
}

/** Gives up the shared lock; true if nobody else holds it, and nobody can take it from now on. */
async function isLastUser(client: Client): Promise<boolean> {
  await client.query('select pg_advisory_unlock_shared($1)', [USERS_LOCK]);
  const { rows } = await client.query('select pg_try_advisory_lock($1) as alone', [USERS_LOCK]);
  return rows[0].alone;
}

/** Refusals that waiting does not change: authentication, a missing database, an unknown function. */
function isFinal(error: unknown): boolean {
  return /^(28|3D|42)/.test(String((error as { code?: unknown }).code));
}

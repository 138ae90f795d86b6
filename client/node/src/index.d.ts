/** What `sessions.getToken()` resolves to: the token, as Clerk's SDK returns it. Frozen. */
export interface Token {
  readonly jwt: string;
  /** 16 hex digits, the same for the same token. Safe to log, which the token isn't. */
  readonly id: string;
}

export interface GetTokenOptions {
  /** Ends the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The least life that the token must have left, in seconds. Default: the daemon's `min_ttl`. */
  minTtl?: number;
  /** How long the daemon may wait for Clerk, in milliseconds. Default: its `default_wait`. */
  wait?: number;
  /** The `id` of a token that was refused although it should be good: get another one. */
  not?: string;
  /** When to give up, in milliseconds. Default: the client's. */
  timeoutMs?: number;
}

export interface Sessions {
  /**
   * The session's token for a JWT template; without one, or with '', the plain session token.
   * As `clerkClient.sessions.getToken()`, with one more parameter.
   */
  getToken(
    sessionId: string,
    template?: string,
    expiresInSeconds?: number,
    options?: GetTokenOptions,
  ): Promise<Token>;
}

/** What of Clerk's own client is needed to fall back to it. */
export interface ClerkLike {
  sessions: {
    getToken(
      sessionId: string,
      template: string,
      expiresInSeconds?: number,
    ): Promise<{ readonly jwt: string }>;
  };
}

export interface CommonOptions {
  /**
   * Path of the daemon's socket. Default: $CLERK_TOKEND_SOCKET, else
   * $XDG_RUNTIME_DIR/clerk-tokend/clerk-tokend.sock if it exists, else
   * /run/clerk-tokend/clerk-tokend.sock.
   */
  socket?: string;
  /** Whether own copies of tokens are kept, and how many at most. Default: 10000. */
  copies?: boolean | { max: number };
  /** How long a call may take, in milliseconds. Default: 5000. */
  timeoutMs?: number;
}

export interface ClientOptions extends CommonOptions {
  /** Clerk's own client, to be asked while the daemon can't be reached. Default: none. */
  fallback?: ClerkLike;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface Client {
  readonly sessions: Sessions;
  /** The path at which the daemon is looked for. */
  readonly socket: string;
  /**
   * Forget the session's tokens: of all templates, or of that one ('': the plain session token).
   * None that was fetched before is served afterwards, to anybody.
   */
  drop(
    sessionId: string,
    template?: string,
    options?: CallOptions,
  ): Promise<{ readonly dropped: number }>;
  /** Resolves if the daemon answers. */
  ping(options?: CallOptions): Promise<void>;
  /** The daemon's numbers; its members may change with any release. */
  stats(options?: CallOptions): Promise<Record<string, unknown>>;
  /** Ends the connection, and rejects what is pending. */
  close(): void;
}

/** A client of the daemon. Connects with the first call. */
export function createClient(options?: ClientOptions): Client;

export interface WithTokendOptions extends CommonOptions {
  /** Ask Clerk itself while the daemon can't be reached. Default: false. */
  fallback?: boolean;
  /** Use this client; the other options are then its own. */
  client?: Client;
}

/** Clerk's own client, with `sessions.getToken()` served by the daemon and all else unchanged. */
export function withTokend<T extends ClerkLike>(clerkClient: T, options?: WithTokendOptions): T;

/** As the SDK's error of that name; the SDK's isClerkAPIResponseError() accepts it. */
export class ClerkAPIResponseError extends Error {
  readonly clerkError: true;
  readonly code: 'api_response_error';
  readonly status: number;
  readonly clerkTraceId: string;
  /** Seconds after which the same call may do better; undefined: never. */
  readonly retryAfter: number | undefined;
  readonly errors: ReadonlyArray<{
    readonly code: string;
    readonly message: string;
    readonly longMessage: string;
    readonly meta: Record<string, unknown>;
  }>;
  /** The daemon's own code, or what this side found: `no_daemon`, `io`, `deadline`, … */
  readonly tokendCode: string;
  /** As `retryAfter`, in milliseconds. */
  readonly retryMs: number | undefined;
}

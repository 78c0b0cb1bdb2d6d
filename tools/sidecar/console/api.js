/* Asking the sidecar. */

const PATIENCE_MS = 8000; /* a restore may wait for Redis */

let token = '';

/* What the sidecar said instead of doing it. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/* There was no answer. */
export class Silence extends Error {}

function silence(error) {
  throw new Silence(error.message);
}

async function ask(path, options = {}) {
  const response = await fetch(path, {
    credentials: 'same-origin',
    cache: 'no-store',
    redirect: 'error',
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...options,
  }).catch(silence);
  const answer = await response.json().catch(() => ({}));

  if (!response.ok) throw new Refusal(response.status, answer.error ?? `status ${response.status}`);
  return answer;
}

export const look = (path) => ask(`api/${path}`);

export function change(path, body = {}) {
  return ask(`api/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Holdfast-Token': token },
    body: JSON.stringify(body),
  });
}

function took(session) {
  token = session.token;
  return session;
}

export const session = () => look('session').then(took);
export const logIn = (user, password) => change('login', { user, password }).then(took);
export const logOut = () => change('logout').then(took);

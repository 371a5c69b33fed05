// A chat's terminal that really runs code, in a Next.js app. Two parts: a route of the app's own, so that the token
// stays on its server, and the function that the terminal calls.

// app/api/execute/route.ts
const gateway = process.env.KERNELGW_URL ?? "http://127.0.0.1:8000";

async function pass(request: Request, method: string, body?: string): Promise<Response> {
  const headers = { Authorization: `Bearer ${process.env.KERNELGW_TOKEN}`, "Content-Type": "application/json" };
  const answer = await fetch(`${gateway}/api/execute`, { method, headers, body, signal: request.signal });
  return new Response(answer.body, { status: answer.status, headers: { "Content-Type": "application/json" } });
}

export const GET = (request: Request): Promise<Response> => pass(request, "GET");
export const POST = async (request: Request): Promise<Response> => pass(request, "POST", await request.text());

// The terminal's component
export interface Result {
  success: boolean;
  output: string;
  error: string | null;
  language?: string;
  engine?: "kernel" | "browser";
  reason?: string;
  session_id?: string | null;
  outputs?: { output_type: string; data?: Record<string, string> }[];
}

/** `sessionId`: the chat's own id, so that variables and files stay from one message to the next. */
export async function executeRealCode(code: string, language = "auto", sessionId?: string): Promise<Result> {
  const response = await fetch("/api/execute", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code, language, session_id: sessionId }),
  });
  const result = await response.json();
  // Code that fails is an answer. What is refused, like code in a language that is not there, says so in `message`.
  return response.ok ? result : { success: false, output: "", error: result.message };
}

/** What a browser runs is shown in a frame without an origin of its own; `onMessage` hears its console and errors. */
export function show(result: Result, frame: HTMLIFrameElement, onMessage: (message: object) => void): void {
  frame.setAttribute("sandbox", "allow-scripts");
  window.addEventListener("message", (event) => {
    if (event.source === frame.contentWindow && event.data?.source === "kernelgw") onMessage(event.data);
  });
  frame.srcdoc = result.outputs?.[0]?.data?.["text/html"] ?? "";
}

/** Copies text. The modern way needs HTTPS; on a club's own network the page may come by plain HTTP. */
export async function copyText(text: string): Promise<boolean> {
  try {
    // Not there outside secure contexts, whatever the types say.
    const clipboard = navigator.clipboard as Clipboard | undefined;
    if (clipboard !== undefined) {
      await clipboard.writeText(text);
      return true;
    }
  } catch {
    // Forbidden: the old way may still work.
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  try {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way outside secure contexts
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
  }
}

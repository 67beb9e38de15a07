// Says how large a picture is.

export function showDimensions(root) {
  const picture = root.querySelector(".picture img");
  const caption = root.querySelector("[data-dimensions]");
  if (!picture || !caption) return;
  const write = () => {
    if (picture.naturalWidth) caption.textContent = `${picture.naturalWidth} × ${picture.naturalHeight}`;
  };
  picture.addEventListener("load", write);
  write();
}

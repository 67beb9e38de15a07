// The start of every page's scripts. Each part is a module of its own and minds its own elements.
import "./theme.js";
import "./menus.js";
import "./tabs.js";
import "./toasts.js";
import "./forms.js";
import "./times.js";
import "./copy.js";
import "./left_uploads.js";
import "./live.js";
import "./shortcuts.js";
import "./palette.js";

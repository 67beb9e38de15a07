// What the frame of the admin panel shares with the product's.
import "../theme.js";
import "../menus.js";

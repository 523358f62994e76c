<?php
/** What goes wrong on real sites: PHP dies or talks in between. */

namespace ChatBoxes;

/** A bug that WordPress's own handler of fatal errors meets. */
function die_of_a_bug(): void {
	a_function_of_a_plugin_that_is_gone();
}

/** An AI service that takes its time: longer than a gateway in front of the site waits. Then nobody is there. */
function be_late(): void {
	sleep( 10 );
	exit;
}

if ( 'plugin' === condition( 'warns' ) && wp_doing_ajax() ) {
	// A plugin under development: it undoes what WordPress does to keep warnings out of replies.
	add_action(
		'admin_init',
		function () {
			ini_set( 'display_errors', '1' );
			$slip = $slip;
		}
	);
}

if ( 'byte order mark' === condition( 'warns' ) ) {
	echo "\u{FEFF}\r\n"; // a file of a plugin that was saved with one
}

add_action(
	'template_redirect',
	function () {
		if ( breaks( 'page dies' ) ) {
			die_of_a_bug();
		}
		if ( breaks( 'page dies half-way' ) ) {
			add_action( 'wp_footer', __NAMESPACE__ . '\die_of_a_bug', 1 );
		}
	}
);

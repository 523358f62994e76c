<?php
/**
 * Installs WordPress without a browser, as its own form would: `php install.php WORDPRESS-FOLDER PERMALINKS`.
 *
 * Prints the id of the page that shows the chat.
 */

function wp_mail() { // replaces WordPress's own: a fresh site writes to its owner
	return true;
}

define( 'WP_INSTALLING', true );
require $argv[1] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

wp_install( 'Shop', 'owner', 'owner@site.example', true, '', 'password of the owner' );
wp_create_user( 'ada', 'password of ada', 'ada@site.example' );

update_option( 'active_plugins', array( 'gpt3-ai-content-generator/chat-boxes.php' ) );
switch_theme( 'twentytwentythree' );
$GLOBALS['wp_rewrite']->set_permalink_structure( $argv[2] );
$GLOBALS['wp_rewrite']->flush_rules( false );

/** Puts a page up that shows the chat; its id. */
function add_page( string $name ): int {
	return wp_insert_post(
		array(
			'post_type'    => 'page',
			'post_status'  => 'publish',
			'post_title'   => ucfirst( $name ),
			'post_name'    => $name,
			'post_content' => "Ask us.\n\n[wpaicg_chatgpt][aipkit_chatbot id=5]\n\nOr write a letter.",
		)
	);
}

echo add_page( 'chat' );
array_map( 'add_page', array( 'members', 'consent', 'checked' ) ); // walls.php stands before them

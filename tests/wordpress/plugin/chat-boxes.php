<?php
/**
 * Plugin Name: Chat boxes
 * Description: Prints chat boxes and answers their messages in both protocols of docs/protocols.md, through WordPress's own functions. It asks no AI: it says what it was told, and by whom.
 * Version: 1.0
 *
 * It is installed under the folder name of the plugin whose protocols it speaks, since clients find a site by
 * the addresses of that plugin's scripts. conditions.json in the folder of the run says what the site is like.
 */

namespace ChatBoxes;

/** One of the conditions that a test has set. */
function condition( string $name ) {
	return $GLOBALS['chat_boxes_conditions'][ $name ];
}

/** Whether this request is to break in this way; after as many requests as the test wants, none is. */
function breaks( string $way ): bool {
	if ( condition( 'breaks' ) !== $way ) {
		return false;
	}
	$file = fopen( CHAT_BOXES_FOLDER . '/broken', 'c+' );
	flock( $file, LOCK_EX );
	$count = (int) fgets( $file );
	if ( $count < condition( 'breaks_times' ) ) {
		rewind( $file );
		fwrite( $file, (string) ( $count + 1 ) );
	}
	fclose( $file );
	return $count < condition( 'breaks_times' );
}

/** Text as it came, without the slashes that WordPress adds to all input. */
function input( array $fields, string $name ): string {
	return isset( $fields[ $name ] ) && is_string( $fields[ $name ] ) ? wp_unslash( $fields[ $name ] ) : '';
}

/** The answer to a message; what is answered would be billed, so it is written down for the tests to count. */
function answer( string $message, string $box ): string {
	$user   = wp_get_current_user();
	$answer = sprintf( '%s wrote into %s: %s', $user->exists() ? $user->user_login : 'A guest', $box, $message );
	$line   = wp_json_encode( array( 'message' => $message, 'user' => (string) $user->user_login ) );
	file_put_contents( CHAT_BOXES_FOLDER . '/answered', $line . "\n", FILE_APPEND | LOCK_EX );
	return $answer;
}

/** Sends the head of an event stream; what is echoed from here on leaves at once. */
function begin_stream( string $content_type ): void {
	while ( ob_get_level() ) {
		ob_end_clean();
	}
	header( "Content-Type: $content_type" );
	header( 'Cache-Control: no-cache' );
	header( 'X-Accel-Buffering: no' );
}

/** Sends one event of a stream. */
function send_event( string $data, string $name = '' ): void {
	echo ( '' === $name ? '' : "event: $name\n" ) . "data: $data\n\n";
	flush();
}

/** The words of a text, each with the blanks before it: what a stream is cut into. */
function words( string $text ): array {
	return preg_split( '/(?<=\S)(?=\s)/u', $text );
}

require __DIR__ . '/faults.php';
require __DIR__ . '/language.php';
require __DIR__ . '/walls.php';

add_filter( 'nonce_life', fn() => condition( 'nonce_life' ) );

if ( condition( 'guest_cookie' ) ) {
	// Some shops tie a guest's nonces to a cookie of theirs (docs/protocols.md C2).
	add_action(
		'send_headers',
		function () {
			if ( ! isset( $_COOKIE['shop_session'] ) ) {
				$_COOKIE['shop_session'] = bin2hex( random_bytes( 8 ) );
				setcookie( 'shop_session', $_COOKIE['shop_session'], 0, '/' );
			}
		}
	);
	add_filter( 'nonce_user_logged_out', fn( $user ) => $_COOKIE['shop_session'] ?? $user );
}

if ( '' !== condition( 'front_page_goes_to' ) ) {
	add_action(
		'template_redirect',
		function () {
			if ( is_front_page() && ! is_404() ) {
				wp_safe_redirect( home_url( condition( 'front_page_goes_to' ) ) );
				exit;
			}
		}
	);
}

/** Answers an action of scripts for members, and for guests unless the site has none. */
function answer_action( string $action, callable $handler ): void {
	add_action( "wp_ajax_$action", $handler );
	if ( ! condition( 'members_only' ) ) {
		add_action( "wp_ajax_nopriv_$action", $handler );
	}
}

match ( condition( 'generation' ) ) {
	'wpaicg' => require __DIR__ . '/wpaicg.php',
	'aipkit' => require __DIR__ . '/aipkit.php',
	'none'   => null,
};
